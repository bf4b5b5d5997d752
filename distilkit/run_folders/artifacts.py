"""What runs share on disk: every artifact with its size, age and the runs that need it, and what no run needs."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from distilkit.errors import UserError
from distilkit.manifest import MANIFEST
from distilkit.run_folders.disk import Taken, taken
from distilkit.run_folders.listing import find_runs
from distilkit.run_folders.lock import Lock, is_held
from distilkit.run_folders.read import StoredRun, read_suite
from distilkit.run_folders.record import as_table
from distilkit.run_folders.uses import in_use, turn

_KEY = re.compile(r"([0-9a-f]{64})")
_UNFINISHED = re.compile(r"\.([0-9a-f]{64})\.[a-z0-9_]{8}|([0-9a-f]{64})\.damaged")
TRIAL, LOCK = ".tried.", "lock"
"""A folder in which a student is saved and loaded before it is trained begins so; its lock is in it."""
_TRIAL = re.compile(re.escape(TRIAL) + r"[a-z0-9_]{8}")
_TEMPORARY = re.compile(
    r"\.(?:(?:run|status|suite|artifacts|grid|curve|measures|cost|trainer_state|manifest)\.json|per_query\.csv|run\.trec"
    r"|qrels\.tsv|model|checkpoints|(?:stage|teacher)-[0-9a-f]{16}|checkpoint-\d+|deleted-[0-9a-f]{8})"
    r"(?:\.[a-z0-9_]{8})?"
)
"""The temporary names of what a run writes in one step, and of a run's folder that is on its way out."""


@dataclass(frozen=True)
class StoredArtifact:
    """A complete artifact: its folder, when it was built, and the names of the runs that need it."""

    path: Path
    built: float
    taken: Taken
    runs: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its folder below that of all artifacts."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def kind(self) -> str:
        """What it is."""
        return self.path.parent.name


@dataclass(frozen=True)
class Leftover:
    """What a process that was killed left half done; `lock` is held as long as one is at work there."""

    path: Path
    lock: Path
    taken: Taken


@dataclass(frozen=True)
class Inventory:
    """Everything in the folder of artifacts, and leftovers in it and in those of runs.

    `unstated` are runs that do not say what they need: as long as there are any, every artifact may be theirs.
    """

    artifacts: list[StoredArtifact]
    leftovers: list[Leftover]
    unstated: list[str]

    @property
    def unneeded(self) -> list[StoredArtifact]:
        """The artifacts that no run needs."""
        return [] if self.unstated else [one for one in self.artifacts if not one.runs]

    @property
    def removable(self) -> list[StoredArtifact | Leftover]:
        """What can be removed: artifacts that no run needs, and leftovers."""
        return [*self.unneeded, *self.leftovers]


def take_inventory(runs_dir: Path, finished_too: bool = False) -> Inventory:
    """Return what the runs of a folder share; with `finished_too` only unfinished runs need anything."""
    root = runs_dir / ".artifacts"
    needs: dict[str, list[str]] = {}
    unstated = []
    for run in find_runs(runs_dir):
        name = str(run.path.relative_to(runs_dir))
        try:
            if finished_too and _is_over(run):
                continue
            needed = run.needs()
        except UserError:
            needed = None
        if needed is None:
            unstated.append(name)
        for one in needed or ():
            needs.setdefault(one, []).append(name)
    artifacts, leftovers = [], list(_run_leftovers(runs_dir))
    trials = (path for path in _folders(root) if _TRIAL.fullmatch(path.name))
    leftovers += [Leftover(path, path / LOCK, taken(path)) for path in trials]
    for path in (path for kind in _folders(root) for path in _folders(kind)):
        if _KEY.fullmatch(path.name) and (path / MANIFEST).is_file():
            runs = tuple(needs.get(f"{path.parent.name}/{path.name}", ()))
            artifacts.append(StoredArtifact(path, (path / MANIFEST).stat().st_mtime, taken(path), runs))
        elif (key := _UNFINISHED.fullmatch(path.name) or _KEY.fullmatch(path.name)) is not None:
            leftovers.append(Leftover(path, path.with_name(f"{key[1] or key[2]}.lock"), taken(path)))
    return Inventory(artifacts, [one for one in leftovers if not is_held(one.lock)], unstated)


def _is_over(run: StoredRun) -> bool:
    """Return whether a run is finished, and so is every other one of its suite, which may share what it needs."""
    members = read_suite(run.path.parent).get("runs")
    names = [str(as_table(one).get("name")) for one in members] if isinstance(members, list) else []
    runs = [run, *(StoredRun(run.path.parent / Path(name).name) for name in names)]
    return all(one.status().state == "done" for one in runs)


def remove(runs_dir: Path, chosen: Iterable[StoredArtifact | Leftover], finished_too: bool = False) -> list[Path]:
    """Remove what was chosen as far as that is still needed by no run and used by no live process; return the paths.

    Everything is renamed first, so that an artifact is whole or not there, and what is left of a removal that was
    interrupted is a leftover.
    """
    root, doomed = runs_dir / ".artifacts", []
    with turn(root):
        used, now = in_use(root), take_inventory(runs_dir, finished_too)
        still = {one.path: one for one in now.removable}
        for path in (one.path for one in chosen):
            one = still.get(path)
            if one is not None and (away := _put_aside(one, used)) is not None:
                doomed.append((path, away))
    for _, away in doomed:
        shutil.rmtree(away) if away.is_dir() else away.unlink()
    return [path for path, _ in doomed]


def _put_aside(one: StoredArtifact | Leftover, used: set[str]) -> Path | None:
    """Give what is to be removed a temporary name; None where a process is at work there."""
    path = one.path
    own = Lock(path.with_name(f"{path.name}.lock") if isinstance(one, StoredArtifact) else one.lock)
    if (isinstance(one, StoredArtifact) and one.name in used) or not own.acquire():
        return None
    try:
        if any(names.fullmatch(path.name) for names in (_UNFINISHED, _TEMPORARY, _TRIAL)):
            return path
        away = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        return path.replace(away)
    finally:
        if own.path.name != "run.lock":
            own.path.unlink(missing_ok=True)
        own.release()


def _run_leftovers(runs_dir: Path) -> Iterator[Leftover]:
    """Yield the temporary files of runs that nobody works on."""
    for path in _deleted(runs_dir):
        yield Leftover(path, path / "run.lock", taken(path))
    for run in find_runs(runs_dir):
        if run.path.is_symlink():
            continue
        for folder, folders, files in os.walk(run.path):
            for name in [*folders, *files]:
                path = Path(folder, name)
                if _TEMPORARY.fullmatch(name) and not path.is_symlink():
                    yield Leftover(path, run.folder.lock, taken(path))


def _deleted(runs_dir: Path) -> list[Path]:
    return [path for pattern in (".deleted-*", "*/.deleted-*") for path in runs_dir.glob(pattern) if path.is_dir()]


def _folders(path: Path) -> list[Path]:
    """Return the folders in a folder, links left out, by name."""
    return [one for one in sorted(path.glob("*")) if one.is_dir() and not one.is_symlink()]


def age(moment: float) -> str:
    """Return how long ago a moment was, in words."""
    seconds = max(0.0, time.time() - moment)
    for size, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
