"""The folder of an unfinished scoring, `OUTPUT.parts/`: what it was asked for, and every shard that is done."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distilkit.data.teacher_scores.provenance import require_match
from distilkit.errors import UserError
from distilkit.files import atomic_path, read_json, write_json
from distilkit.runs.lock import Lock

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Parts:
    """A folder of shards, one file each, written in one step: a shard is there as a whole or not at all."""

    folder: Path
    output: Path

    @classmethod
    def of(cls, output: Path) -> "Parts":
        """Return the parts of an output."""
        return cls(output.with_name(f"{output.name}.parts"), output)

    @contextmanager
    def claimed(self, resume: bool) -> Iterator[None]:
        """Hold the folder's lock for a block.

        Without `resume`, raises UserError where there is an output or a part of one; and where another process is at
        work on it.
        """
        if self.output.exists() and not resume:
            raise UserError(f"{self.output} exists; delete it, or choose another --output")
        if self.folder.exists() and not resume:
            raise UserError(f"{self.folder} holds an unfinished scoring; continue it with --resume, or delete it")
        lock = Lock(self.folder / "lock")
        if not lock.acquire():
            raise UserError(f"{self.folder}: another process is at work on this scoring")
        try:
            yield
        finally:
            lock.release()

    def plan(self, asked: dict[str, Any]) -> None:
        """Write what is asked for, or raise UserError, naming the difference, where it was something else before."""
        path = self.folder / "plan.json"
        if path.exists():
            require_match(read_json(path), asked, f"{self.folder} was started otherwise")
        else:
            write_json(path, asked)

    def shard(self, name: str, number: int) -> Path:
        """Return the file of a model's shard."""
        return self.folder / "scores" / name / f"{number:06}.npy"

    def missing(self, name: str, count: int) -> list[int]:
        """Return which of a model's shards are not done."""
        return [number for number in range(count) if not self.shard(name, number).exists()]

    def write(self, name: str, number: int, scores: Floats) -> None:
        """Write a shard in one step."""
        with atomic_path(self.shard(name, number)) as temporary, temporary.open("wb") as file:
            np.save(file, scores)

    def read(self, name: str, count: int) -> Floats:
        """Return a model's scores, all of its shards one after the other."""
        return np.concatenate([np.load(self.shard(name, number)) for number in range(count)])

    def remove(self) -> None:
        """Delete the folder, after its output is written."""
        shutil.rmtree(self.folder)
