"""The one reader of run folders and suites, for `compare`, `show`, `runs` and the terminal interface."""

import math
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from distilkit.errors import UserError
from distilkit.manifest import damage
from distilkit.run_folders.folder import RunFolder, refuse_links
from distilkit.run_folders.record import (
    Event,
    JsonObject,
    RunRecord,
    RunStatus,
    as_table,
    parse_event,
    read_object_if_any,
    read_record,
    read_status,
    trial_label,
)
from distilkit.run_folders.results import StoredResults
from distilkit.run_folders.state import derive
from distilkit.untrusted import LONGEST, fits, open_regular

CURVES = ("train", "validation", "curve")
"""The kinds of events that the curves of a stage are made of."""

_AGREEMENT = {"queries": int, "depth": int, "measures": dict}
_GRID = {"chosen": dict, "measure": str, "tried": [{"values": dict, "validation": dict}]}

_VARIABLE = ("seed", "student", "strategy", "train", "stages")
"""The sections whose keys a grid can vary."""

_Training = tuple[str, str, str]
"""A stage's training in events.jsonl: its key, the label of its grid point, the stage's name."""


class StoredRun:
    """A run as its folder tells it: every file is read when it is asked for.

    Methods and `record` raise UserError, naming the file, where it is damaged; a file that a run may lack is empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = RunFolder(path)

    @cached_property
    def record(self) -> RunRecord:
        """What the run was started with."""
        return read_record(self.folder.run_json)

    def exists(self) -> bool:
        """Return whether the folder is that of a run."""
        return self.folder.exists()

    def status(self) -> RunStatus:
        """Return how far the run is."""
        return read_status(self.folder.status_json)

    def state(self, status: RunStatus | None = None) -> str:
        """Return whether the run is running, stalled, done, stopped, crashed or lost."""
        return derive(self.folder, self.record, status or self.status())

    def results(self, eval_set: str = "test") -> StoredResults:
        """Return the student's results on a query set; raises UserError where its folder is a link."""
        path = self.folder.eval / eval_set
        refuse_links(self.folder.eval, path)
        return StoredResults(path, path / "qrels.tsv")

    def all_results(self) -> dict[str, StoredResults]:
        """Return the student's results by query set, also of those that it is still measured on."""
        found = [] if self.folder.eval.is_symlink() else sorted(self.folder.eval.glob("*"))
        return {one.name: self.results(one.name) for one in found if not one.is_symlink()}

    def evaluated_sets(self) -> list[str]:
        """Return the names of the query sets that the run has results for."""
        return [name for name, results in self.all_results().items() if results.exist()]

    def twin(self) -> "StoredRun | None":
        """Return the label-only twin, which lies beside its run, also where its name holds that of a suite."""
        name = self.record.twin
        found = StoredRun(self.path.resolve().parent / Path(name).name) if name else None
        return found if found is not None and found.exists() else None

    def needs(self) -> frozenset[str] | None:
        """Return the artifacts that the run needs, as `KIND/KEY`; None where that was never stated."""
        named = read_object_if_any(self.folder.artifacts).get("artifacts")
        return frozenset(map(str, named)) if isinstance(named, list) else None

    def damage(self) -> str | None:
        """Return in words what is damaged of a finished run, None where all is whole.

        A run of an earlier version does not list its files.
        """
        try:
            record = self.record
            _ = self.grid(), self.curve(), self.agreement()
        except UserError as error:
            return str(error)
        folders = [self.folder.model]
        for name in as_table(record.content.get("sets")):
            results = self.results(name)
            teacher = as_table(as_table(record.content.get("references")).get(name)).get("teacher")
            references = () if record.twin_of else ("bm25", "teacher") if teacher else ("bm25",)
            folders += [results.path, *(results.reference(one).path for one in references)]
        found = {folder: damage(folder) for folder in folders} if record.content else {}
        return next((f"{folder} is damaged: {one}" for folder, one in found.items() if one is not None), None)

    def grid(self) -> JsonObject:
        """Return what was tried and chosen on the validation queries, empty without a grid."""
        found = read_object_if_any(self.folder.grid)
        if found and not fits(found, _GRID):
            raise UserError(f"{self.folder.grid}: is not a record of a grid; expected chosen, measure and tried")
        searched = self.grid_size > 1 and not self.record.twin_of
        if searched and not found and self.status().state == "done":
            raise UserError(
                f"{self.folder.grid} is missing: the run has searched a grid; make it anew with --resume auto"
            )
        return found

    @property
    def grid_size(self) -> int:
        """How many settings the run chose from on the validation queries: 1 without a grid.

        Keys of another strategy, as the grid of a suite has them, are none of its own.
        """
        record = self.record
        own = (*_VARIABLE, as_table(record.resolved.get("strategy")).get("name"))
        grid = as_table(record.resolved.get("grid"))
        return math.prod(
            len(values) for key, values in grid.items() if key.partition(".")[0] in own and isinstance(values, list)
        )

    def curve(self) -> JsonObject:
        """Return the validation by examples and time, empty where the student was not validated on the way."""
        return read_object_if_any(self.folder.curve)

    def agreement(self) -> JsonObject:
        """Return how far a student without labels agrees with its teacher, empty for one with labels."""
        found = read_object_if_any(self.folder.agreement)
        if found and not fits(found, _AGREEMENT):
            raise UserError(f"{self.folder.agreement}: is not a record of agreement; expected measures and queries")
        return found

    def events(self, *kinds: str) -> Iterator[Event]:
        """Yield the events of some kinds."""
        try:
            with open_regular(self.folder.events, links=False) as file:
                while line := file.readline(LONGEST):
                    event = parse_event(line)
                    if event is not None and event.kind in kinds:
                        yield event
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise UserError(f"{self.folder.events}: {error}") from None

    def student_events(self, stages: Collection[str], *kinds: str) -> list[Event]:
        """Return the events of some kinds that the student's stages wrote; without `stages` those of every name.

        A teacher's stage may have the same name: it is trained first, under another key. Where a grid was searched
        these are the events of the chosen point, of its full training where the points were trials.
        """
        trainings: dict[str, list[_Training]] = {}
        for one in dict.fromkeys((event.key, event.trial, event.stage) for event in self.events(*CURVES)):
            trainings.setdefault(one[2], []).append(one)
        chosen = trial_label(as_table(self.grid().get("chosen")))
        own = {_own(found, chosen) for name, found in trainings.items() if name in stages or not stages}
        return [event for event in self.events(*kinds) if (event.key, event.trial, event.stage) in own]


def _own(trainings: Sequence[_Training], chosen: str) -> _Training:
    """Return which of the trainings of one stage, in their order, is that of the student that was kept."""
    key, trial, stage = trainings[-1]
    if not trial:
        return key, trial, stage
    # A stage that several grid points share has the label of the first of them.
    wanted = set(chosen.split(", "))
    return max(reversed(trainings), key=lambda one: len(wanted.intersection(one[1].split(", "))) if one[1] else -1)


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run."""
    return RunFolder(folder).exists()


def suite_members(folder: Path) -> list[StoredRun]:
    """Return the runs in a suite's folder, by name."""
    if not folder.is_dir():
        return []
    return [StoredRun(one) for one in sorted(folder.iterdir()) if not one.name.startswith(".") and is_run(one)]


def read_suite(folder: Path) -> JsonObject:
    """Return the suite.json of a suite's folder, empty without one."""
    return read_object_if_any(folder / "suite.json")
