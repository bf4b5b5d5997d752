"""What the rankers of `distilkit rerank` cost on this machine, timed by turns with the first one that was named."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from distilkit.data.candidates import Candidates
from distilkit.evaluation.cost import Timed, by_turns, measure_cost, threads
from distilkit.evaluation.rerank import Tokens
from distilkit.files import sha256_file, write_json
from distilkit.progress import ProcessGroup, ProgressReporter
from distilkit.run_folders.folder import machine
from distilkit.run_folders.results import cost_beside
from distilkit.scoring.rankers import OpenRanker
from distilkit.training.precision import Precision


def measure_costs(
    rankers: Mapping[str, OpenRanker],
    tokens: Callable[[OpenRanker], Tokens],
    candidates: Candidates,
    *,
    batch_size: int,
    precision: Precision,
    processes: ProcessGroup,
    reporter: ProgressReporter,
) -> dict[str, dict[str, Any]]:
    """Return each ranker's cost.json by name, without what is not known of a ranker alone: its training.

    The process holds all rankers, so that nothing is said of the memory that one takes. Arguments as for `score_each`.
    """
    first, session, depth = next(iter(rankers)), secrets.token_hex(8), candidates.passages.shape[1]
    found = {}
    with ExitStack() as stack:
        subjects = {
            name: Timed(
                stack.enter_context(one.on(processes.device)), tokens(one), batch_size, one.precision(precision)
            )
            for name, one in rankers.items()
        }
        with reporter.phase("time single queries", 1) as phase:
            timed = by_turns({name: (candidates, [one]) for name, one in subjects.items()}, processes.device)
            phase.advance()
        for name, subject in subjects.items():
            cost = measure_cost(*subject[:2], candidates, depth, *subject[2:])
            del cost["peak_memory_bytes"]
            beside = (timed[first], first) if name != first else ()
            cost |= timed[name].stated(session, *beside)
            module = subject.ranker
            how = {"backend": module.backend, "precision": module.stored or subject.precision}
            found[name] = {**cost, **how, "machine": {**machine(), "threads": threads()}}
    return found


def write_cost(run: Path, cost: Mapping[str, Any]) -> Path:
    """Write a cost beside the TREC run that it is of; return its path."""
    path = cost_beside(run)
    write_json(path, {**cost, "run": sha256_file(run)})
    return path
