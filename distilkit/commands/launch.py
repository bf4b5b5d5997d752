"""A command on one process or many, of which one speaks."""

from collections.abc import Iterator
from contextlib import contextmanager

from distilkit.errors import RunFailed, Stopped, UserError, lowering
from distilkit.options.shared import Printed
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.session import exit_code
from distilkit.training.processes import Processes


@contextmanager
def launched(asked: Printed, stopped: str | None = None) -> Iterator[tuple[Processes, Reporter]]:
    """Yield the processes and what reports for them; where all of them fail alike, the main one says why.

    `stopped` is what it says of a command that was asked to stop, which by default goes on as a run does.
    """
    processes = Processes()
    main = processes.is_main
    try:
        with lowering("--batch-size or the lengths"):
            yield processes, Reporter(quiet=asked.json_ or not main, leads=main)
    except (UserError, RunFailed, Stopped, KeyboardInterrupt) as error:
        if main and stopped is not None and isinstance(error, Stopped):
            raise Stopped(stopped) from None
        if main:
            raise
        raise SystemExit(exit_code(error)) from None
