"""A command on one process or many, of which one speaks."""

from collections.abc import Iterator
from contextlib import contextmanager

from distilkit.errors import RunFailed, Stopped, UserError
from distilkit.runs.claim import exit_code
from distilkit.runs.reporter import Reporter
from distilkit.training.processes import Processes


@contextmanager
def launched(quiet: bool) -> Iterator[tuple[Processes, Reporter]]:
    """Yield the processes and what reports for them; where all of them fail alike, the main one says why."""
    processes = Processes()
    main = processes.is_main
    try:
        yield processes, Reporter(quiet=quiet or not main, leads=main)
    except (UserError, RunFailed, Stopped, KeyboardInterrupt) as error:
        if main:
            raise
        raise SystemExit(exit_code(error)) from None
