"""A run's folder: the paths of its files, the writers of its record, status, events and log, and its provenance."""

import json
import os
import platform
import shutil
import socket
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from distilkit import __version__
from distilkit.errors import UserError
from distilkit.files import sync, write_json
from distilkit.manifest import sealed
from distilkit.run_folders.commit import commit
from distilkit.run_folders.record import parse_event
from distilkit.untrusted import open_regular

PACKAGES = ("torch", "transformers", "accelerate", "datasets", "ir-measures", "bm25s", "numpy", "scipy")


class RunFolder:
    """`runs/NAME/`: run.json, status.json, events.jsonl, log.txt, run.lock, checkpoints/, model/, eval/.

    artifacts.json names the artifacts that it needs; grid.json is there where a grid was searched, curve.json where the
    student was validated on the way, agreement.json where it was trained without labels.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_json = path / "run.json"
        self.status_json = path / "status.json"
        self.events = path / "events.jsonl"
        self.log = path / "log.txt"
        self.lock = path / "run.lock"
        self.stop = path / "stop"
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"
        self.eval = path / "eval"
        self.artifacts = path / "artifacts.json"
        self.grid = path / "grid.json"
        self.curve = path / "curve.json"
        self.agreement = path / "agreement.json"

    def exists(self) -> bool:
        """Return whether a run has been started here."""
        return self.run_json.exists()

    def foreign(self) -> list[str]:
        """Return the names in the folder that distilkit does not write, in order; none where there is no folder."""
        own = {path.name for path in vars(self).values() if path != self.path}
        names = sorted(one.name for one in self.path.iterdir()) if self.path.is_dir() else []
        # What is written in one step has a temporary name: a dot, its own name, a dot and some letters.
        return [name for name in names if not own & {name, name.removesuffix(".damaged"), name[1:].rpartition(".")[0]}]

    def is_empty(self) -> bool:
        """Return whether nothing is there but what a start that was killed at once left."""
        passing = (self.lock.name, self.stop.name)
        names = [one.name for one in self.path.iterdir()] if self.path.is_dir() else []
        return all(name in passing or name.startswith(".") for name in names)

    def refuse_foreign(self) -> None:
        """Raise UserError for a folder that distilkit did not make: no run is started in it, and it is not deleted."""
        if self.exists():
            return
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} exists and is not a folder; choose another name with --name")
        if strange := self.foreign():
            said = f"{self.path} exists and is not a run: it holds {strange[0]}"
            raise UserError(f"{said}; choose another name with --name")

    def remove_own(self, whole: bool) -> None:
        """Remove what distilkit writes, and the folder itself where it is `whole` ours and nothing else is in it."""
        strange = set(self.foreign())
        for path in (one for one in self.path.iterdir() if one.name not in strange):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() and not path.is_symlink() else path.unlink()
        if whole and not strange:
            self.path.rmdir()

    def refuse_links(self) -> None:
        """Raise UserError for a symbolic link inside the folder: through it something elsewhere would be written."""
        for folder, folders, files in os.walk(self.path):
            refuse_links(*(Path(folder) / name for name in (*folders, *files)))

    def ask_to_stop(self) -> None:
        """Ask the run to stop behind a checkpoint."""
        self._append(self.stop, "")

    def create(self, record: dict[str, Any]) -> None:
        """Make the folder and its immutable run.json."""
        write_json(self.run_json, sealed(record))

    def write_status(self, status: dict[str, Any], durable: bool = True) -> None:
        """Replace status.json in one step; one that is not durable may be lost with the power."""
        write_json(self.status_json, status, durable)

    def append_event(self, event: dict[str, Any]) -> None:
        """Append one event in one write, so that a reader sees whole lines only."""
        line = json.dumps({"v": 1, "t": round(time.time(), 3), **event}, ensure_ascii=False) + "\n"
        self._append(self.events, line)

    def mend_events(self) -> int:
        """Drop what lost power or a kill left of a last line of the events; return how many bytes that were."""
        try:
            with open_regular(self.events, links=False) as file:
                data = file.read()
        except FileNotFoundError:
            return 0
        lines = data.splitlines(keepends=True)
        while lines and not (lines[-1].endswith(b"\n") and parse_event(lines[-1])):
            lines.pop()
        whole = sum(map(len, lines))
        if whole < len(data):
            os.truncate(self.events, whole)
        return len(data) - whole

    def sync_events(self) -> None:
        """Write the events through to the disk."""
        if self.events.exists():
            sync(self.events)

    def append_log(self, line: str) -> None:
        """Append one line to log.txt."""
        self._append(self.log, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    @staticmethod
    def _append(path: Path, text: str) -> None:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)


def refuse_links(*paths: Path) -> None:
    """Raise UserError for a path that is a symbolic link; distilkit makes none in a run's folder, and follows none."""
    for path in paths:
        if path.is_symlink():
            raise UserError(f"{path} is a symbolic link; none is followed inside a run's folder")


def machine() -> dict[str, Any]:
    """Describe this machine for records of cost."""
    return {"host": socket.gethostname(), "system": platform.system(), "cpu": _cpu(), "cores": os.cpu_count()}


def versions() -> dict[str, str]:
    """Return the versions of distilkit, Python and the packages that change numbers."""
    found = {"distilkit": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def provenance() -> dict[str, Any]:
    """Return what a run.json says of the process that made it."""
    return {
        "argv": sys.argv[1:],
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": versions(),
        "git": commit(),
        "host": machine(),
        "boot_id": boot_id(),
    }


def boot_id() -> str | None:
    """Return the id of this boot of the machine, None where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
