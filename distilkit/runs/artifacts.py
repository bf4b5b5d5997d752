"""What runs share: results kept by the content of everything that they depend on."""

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilkit.files import atomic_folder, content_key, read_json, write_json
from distilkit.progress import ProcessGroup
from distilkit.runs.lock import Lock
from distilkit.runs.reporter import Reporter

FORMAT = 1


@dataclass(frozen=True)
class Artifact:
    """A kind of result and the manifest of its inputs; the key is the sha256 of both.

    The manifest holds keys and content hashes of inputs and every field that changes the result's numbers, never
    paths, process counts, devices or logging.
    """

    kind: str
    manifest: dict[str, Any]

    @property
    def key(self) -> str:
        """The name of the artifact's folder."""
        return content_key({"kind": self.kind, "format": FORMAT, **self.manifest})


@dataclass(frozen=True)
class Artifacts:
    """The folder `.artifacts/KIND/KEY/` beside the runs."""

    root: Path
    group: ProcessGroup
    reporter: Reporter

    def path(self, artifact: Artifact) -> Path:
        """Return where an artifact is, or will be."""
        return self.root / artifact.kind / artifact.key

    def has(self, artifact: Artifact) -> bool:
        """Return whether an artifact is complete."""
        return (self.path(artifact) / "manifest.json").exists()

    def get(self, artifact: Artifact, build: Callable[[Path], dict[str, Any] | None], alone: bool = True) -> Path:
        """Return an artifact's folder, building it first where it is missing.

        `build` fills a temporary folder, which then takes the artifact's name, and may return facts for the manifest.
        With `alone` the main process builds while the others wait; without, all build together and only the main
        process writes. Another run that builds the same artifact is waited for.
        """
        path, lock = self.path(artifact), Lock(self.root / artifact.kind / f"{artifact.key}.lock")
        try:
            if self.group.on_main(lambda: self.has(artifact) or self._claim(artifact, lock)):
                return path
            with ExitStack() as stack:
                folder = self.group.on_main(lambda: stack.enter_context(atomic_folder(path)))
                # A process that fails in a build of all says nothing to the others: they may be anywhere in it. They
                # fail too when it ends.
                facts = self.group.on_main(lambda: build(folder)) if alone else build(folder)
                self.group.on_main(lambda: self._finish(artifact, folder, facts or {}, stack, lock))
            return path
        finally:
            lock.release()

    def _claim(self, artifact: Artifact, lock: Lock) -> bool:
        """Wait for the right to build an artifact; return whether another run built it meanwhile."""
        if not lock.acquire():
            self.reporter.say(f"waiting for another run that is building the same {artifact.kind}")
            while not lock.acquire():
                self.reporter.heartbeat(expect_next=60)
                self.reporter.raise_if_stopped()
                time.sleep(0.2)
        if self.has(artifact):
            lock.path.unlink(missing_ok=True)
            return True
        # Left by a build that was killed; no other can be under way, since the lock is ours.
        for left in self.path(artifact).parent.glob(f".{artifact.key}.*"):
            shutil.rmtree(left, ignore_errors=True)
        return False

    def _finish(self, artifact: Artifact, folder: Path, facts: dict[str, Any], stack: ExitStack, lock: Lock) -> None:
        """Write the manifest, which makes the artifact complete, and let the folder take its name."""
        manifest = {"kind": artifact.kind, "format": FORMAT, **artifact.manifest}
        write_json(folder / "manifest.json", {"key": artifact.key, "made_of": manifest, **facts})
        stack.close()
        lock.path.unlink(missing_ok=True)

    def facts(self, artifact: Artifact) -> dict[str, Any]:
        """Return the manifest of a complete artifact, with the facts that its builder left."""
        facts: dict[str, Any] = read_json(self.path(artifact) / "manifest.json")
        return facts
