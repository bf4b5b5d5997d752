"""Runs started, stopped, gone on with and deleted, as a shell would do it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from distilkit.alive import process_start
from distilkit.errors import UserError
from distilkit.files import write_text
from distilkit.plugins import this_command
from distilkit.problems import shown
from distilkit.run_folders.folder import RunFolder, boot_id, refuse_links
from distilkit.run_folders.lock import Lock
from distilkit_tui.core.entry import Entry
from distilkit_tui.core.text import recipe_toml

# Beside the runs: what was started from here, and what it said before it had a folder of its own.
LAUNCHES = ".launch"


@dataclass(frozen=True)
class Child:
    """A process that was started here; it goes on when the application ends."""

    label: str
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def last_words(self) -> str:
        """What it said last."""
        try:
            lines = self.output.read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""


class Launcher:
    """Starts `distilkit` commands, detached, and tells how those ended that did."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self._children: list[Child] = []

    def start(self, arguments: Sequence[str], label: str) -> Child:
        """Start `distilkit run` with arguments in a session of its own, and never a plug-in.

        Raises UserError where nothing can be written.
        """
        output = self.runs_dir / LAUNCHES / f"{uuid4().hex[:8]}.log"
        command = [*this_command(), *arguments, "--no-plugins"]
        try:
            refuse_links(output.parent)
            output.parent.mkdir(parents=True, exist_ok=True)
            with output.open("wb") as file:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
                )
        except OSError as error:
            raise UserError(f"{label} cannot be started: {error}") from None
        child = Child(label, process, output)
        self._children.append(child)
        return child

    def ended(self) -> list[Child]:
        """Return the processes that have ended since the last call; asking frees what is left of them."""
        found = [child for child in self._children if child.process.poll() is not None]
        self._children = [child for child in self._children if child not in found]
        for child in found:
            if child.process.returncode == 0:
                child.output.unlink(missing_ok=True)
        return found

    def resume(self, entry: Entry) -> Child:
        """Go on with a run; raises UserError where it cannot be."""
        if entry.live:
            raise UserError(f"{entry.key} is {entry.state}; there is nothing to resume")
        if entry.record.twin_of:
            raise UserError(f"{entry.key} is the twin of {entry.record.twin_of}; resume that one")
        recipe, name = entry.record.recipe, entry.record.name
        if not recipe or not name:
            raise UserError(f"{entry.folder.run_json}: the recipe is missing, so the run cannot be resumed")
        root = entry.folder.path
        for _ in Path(name).parts:
            root = root.parent
        return self.resume_recipe(recipe, root, entry.key)

    def resume_recipe(self, recipe: dict[str, Any], root: Path, label: str) -> Child:
        """Go on with what a recipe names below a folder of runs; raises UserError where it cannot be."""
        if plugins := recipe.get("plugins"):
            raise UserError(
                f"{label} has plug-ins ({shown(plugins)}), code that only the command line runs: "
                "distilkit run RECIPE --resume auto"
            )
        path = self.runs_dir / LAUNCHES / f"{label.replace('/', '-')[:100]}.toml"
        refuse_links(path.parent)
        try:
            write_text(path, recipe_toml(recipe))
        except OSError as error:
            raise UserError(f"{label} cannot be resumed: {error}") from None
        return self.start(["run", str(path), "--resume", "auto", "--runs-dir", str(root)], label)


def request_stop(entry: Entry, twin: Entry | None = None) -> None:
    """Ask a run to stop behind a checkpoint; `twin` is its twin's, which may be what is trained now."""
    for one in (entry, twin):
        if one is not None and one.live:
            try:
                one.folder.ask_to_stop()
            except OSError as error:
                raise UserError(f"{one.key} cannot be asked to stop: {error}") from None


def kill(entry: Entry) -> None:
    """Kill a run's process, with all that it started if it leads a session; the last checkpoint stays.

    Raises UserError where it is not this machine's, or is not there any more.
    """
    pid = local_pid(entry)
    if pid is None:
        raise UserError(f"{entry.key}: its process is not on this machine, or has ended")
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError:
        raise UserError(f"{entry.key}: process {pid} is another user's") from None


def local_pid(entry: Entry) -> int | None:
    """Return a live run's process if it is on this machine and still the same one."""
    pid, start = entry.status.pid, entry.status.pid_start
    if not entry.live or pid is None or pid <= 1 or entry.record.boot_id != boot_id():
        return None
    return pid if start is not None and process_start(pid) == start else None


def delete(folder: RunFolder) -> None:
    """Delete a run's folder; raises UserError where a process works on it, it holds other files, or the system says no.

    It is renamed first, so that a run is never half there, and its lock is held meanwhile.
    """
    path, lock = folder.path, Lock(folder.lock)
    try:
        if not path.is_symlink() and (strange := folder.foreign()):
            raise UserError(f"{path} holds {strange[0]}, which distilkit did not write; delete it by hand")
        if not lock.acquire():
            raise UserError(f"{path} is being worked on; stop it first")
        try:
            if path.is_symlink():
                path.unlink()
                return
            doomed = path.with_name(f".deleted-{uuid4().hex[:8]}")
            path.rename(doomed)
            shutil.rmtree(doomed)
        finally:
            lock.release()
    except OSError as error:
        raise UserError(f"{path} cannot be deleted: {error}") from None


def memory(entry: Entry) -> dict[str, int] | None:
    """Return the bytes that a run's process holds now and held at most, None where it is not on this machine."""
    pid = local_pid(entry)
    try:
        text = Path(f"/proc/{pid}/status").read_text() if pid is not None else ""
        kibibytes = [int(text.partition(f"\n{name}:")[2].split()[0]) for name in ("VmRSS", "VmHWM")]
    except (OSError, ValueError, IndexError):
        return None
    return {"now": 1024 * kibibytes[0], "most": 1024 * kibibytes[1]}
