"""The latencies of one table, measured together: by turns, in one process, when all that the table shows is trained."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from distilkit.errors import UserError
from distilkit.files import content_key
from distilkit.pipeline.evaluation import EvaluationSet, RankerCost, Ranking
from distilkit.pipeline.graph import Artifact
from distilkit.pipeline.pipeline import GridPoint, Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.results import state_latency
from distilkit.pipeline.trained_stage import TrainedStage
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess
from distilkit.run_folders.folder import RunFolder, machine
from distilkit.run_folders.read import StoredRun
from distilkit.run_folders.record import as_table
from distilkit.run_folders.results import StoredResults
from distilkit.settings import Recipe
from distilkit.training.precision import AutoPrecision

if TYPE_CHECKING:
    from distilkit.evaluation.cost import Latency, Timed

Systems = tuple[Ranking, ...]
"""What ranks for a system: one ranker, or the members of an ensemble."""


@dataclass(frozen=True)
class Finished:
    """A run whose student is trained and measured."""

    pipeline: Pipeline
    folder: RunFolder

    @property
    def chosen(self) -> GridPoint:
        """The point of the grid that was trained in full."""
        grid = StoredRun(self.folder.path).grid()
        return self.pipeline.point(grid["chosen"] if grid else self.pipeline.grid()[0].values)

    def seats(self) -> Iterator["Seat"]:
        """Yield what is timed of the run on every query set: the student, and the teacher unless it is a twin."""
        chosen = self.chosen
        for one in self.pipeline.sets:
            path = self.folder.eval / one.name
            results = StoredResults(path, path / "qrels.tsv")
            teacher = self.pipeline.teacher_ranking(one)
            beside = () if teacher is None else teacher.rankings
            yield Seat(one, results, (self.pipeline.student_ranking(chosen, one),), beside)
            if beside and self.pipeline.twin_of is None:
                yield Seat(one, results.reference("teacher"), beside)


@dataclass(frozen=True)
class Seat:
    """A system on a query set: where its results lie, what ranks for it, and for the teacher held beside it."""

    set: EvaluationSet
    results: StoredResults
    rankings: Systems
    beside: Systems = ()

    @property
    def session(self) -> object:
        """The session that its latency is of, None before any."""
        return self.results.cost().latency.get("session")


def keep_latencies(runs: Sequence[Finished], workspace: Workspace) -> bool:
    """Time the systems of some runs together and enter it into their cost.json, unless that was done before.

    Return whether anything was timed. Nothing is where a model is no longer kept, as it would be trained again.
    """
    seats = [seat for run in runs for seat in run.seats()]
    sessions = workspace.processes.on_main(lambda: {seat.session for seat in seats})
    if not seats or (len(sessions) == 1 and None not in sessions):
        return False
    if not _kept(seats, workspace):
        workspace.progress.say("latencies are not measured together: not all models of these runs are kept any more")
        return False
    for path, stated in timed_together(seats, workspace).items():
        results = StoredResults(path, path / "qrels.tsv")
        workspace.processes.on_main(lambda results=results, stated=stated: state_latency(results, stated))  # type: ignore[misc]
    return True


def _kept(seats: Iterable[Seat], workspace: Workspace) -> bool:
    """Return whether all rankers are there, trained."""
    models = (ranking.model for seat in seats for ranking in (*seat.rankings, *seat.beside))
    return all(workspace.is_done(model) for model in models if isinstance(model, Artifact))


def timed_anew(runs: Sequence[StoredRun], artifacts: Path) -> dict[Path, dict[str, Any]]:
    """Return what cost.json would say of the latencies of some finished runs, timed together now; nothing is written.

    Raises UserError for a run whose models are no longer kept.
    """
    reporter = Reporter(quiet=True)
    seats = []
    for run in runs:
        recorded = as_table(run.record.raw.get("precision")).get("auto")
        workspace = Workspace(artifacts, OneProcess(), reporter, auto=AutoPrecision.read(recorded))
        try:
            recipe = Recipe.model_validate(run.record.raw.get("recipe"))
        except ValidationError:
            raise UserError(f"{run.folder.run_json}: has no recipe that this version reads") from None
        found = list(Finished(Pipeline(recipe, workspace, run.record.twin_of), run.folder).seats())
        if not _kept(found, workspace):
            raise UserError(f"{run.path}: its models are no longer kept in {artifacts}, so it cannot be timed")
        seats += found
    return timed_together(seats, Workspace(artifacts, OneProcess(), reporter)) if seats else {}


def timed_together(seats: Sequence[Seat], workspace: Workspace) -> dict[Path, dict[str, Any]]:
    """Return by the folder of its results what cost.json says of each system's latency, all of one session.

    Systems that compute the same, such as one student trained in two ways, are timed once.
    """
    from distilkit.evaluation.cost import threads

    found: dict[Path, dict[str, Any]] = {}
    device, session = workspace.processes.device, workspace.processes.broadcast(secrets.token_hex(8))
    here = {**machine(), "threads": threads(), "device": str(device)}
    for name in dict.fromkeys(seat.set.name for seat in seats):
        members = [seat for seat in seats if seat.set.name == name]
        systems = {_alike(one): one for seat in members for one in (seat.rankings, seat.beside) if one}
        workspace.prepare(*(node for one in systems.values() for ranking in one for node in ranking.inputs))
        work = sum(RankerCost(ranking).timing(workspace) for seat in members for ranking in seat.rankings)
        with workspace.progress.phase(f"time {name} queries, {len(systems)} systems by turns", 1, work=work) as phase:
            stated = workspace.processes.on_main(lambda systems=systems: _timed(systems, workspace))  # type: ignore[misc]
            phase.advance()
        for seat in members:
            own, beside = (stated.get(_alike(one)) if one else None for one in (seat.rankings, seat.beside))
            assert own is not None
            depth = workspace.value(seat.set.queries.candidates).passages.shape[1]
            found[seat.results.path] = {**own.stated(session, beside), "depth": depth, "machine": here}
    return found


def _alike(rankings: Systems) -> str:
    """Return a key of all that the time of a query depends on."""
    return content_key([_of_ranking(one) for one in rankings])


def _of_ranking(one: Ranking) -> dict[str, Any]:
    model = one.model
    checkpoint = model.start.own or model.start.source if isinstance(model, TrainedStage) else model
    return {
        "model": [model.architecture, *model.size, model.options, checkpoint.key],
        "tokens": one.reader.key,
        "candidates": one.queries.candidates.key,
        "scorer": vars(one.scorer),
    }


def _timed(systems: dict[str, Systems], workspace: Workspace) -> "dict[str, Latency]":
    from distilkit.evaluation.cost import Timed, by_turns

    device = workspace.processes.device

    def opened(one: Ranking) -> "Timed":
        ranker = one.model.load(workspace).to(device)
        return Timed(ranker, workspace.value(one.reader), one.scorer.batch_size, one.scorer.precision)

    rankers = {
        key: (workspace.value(rankings[0].queries.candidates), [opened(one) for one in rankings])
        for key, rankings in systems.items()
    }
    return by_turns(rankers, device)
