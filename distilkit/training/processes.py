"""The processes that train together: one by default, several under `accelerate launch`."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from distilkit.training.memory import keep_freed_memory

T = TypeVar("T")

# A process may wait long for one that builds something alone, such as a first-stage run.
PATIENCE = timedelta(days=1)


class Processes:
    """Rank, number and device of this process, and how it talks to the others."""

    def __init__(self, cpu: bool = False) -> None:
        self.state = PartialState(cpu=cpu, timeout=PATIENCE)
        keep_freed_memory()

    @property
    def rank(self) -> int:
        """This process's number, from 0."""
        return int(self.state.process_index)

    @property
    def count(self) -> int:
        """How many processes there are."""
        return int(self.state.num_processes)

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        device: torch.device = self.state.device
        return device

    def broadcast(self, value: T) -> T:
        """Return the main process's value in every process."""
        if self.count == 1:
            return value
        box = [value]
        broadcast_object_list(box)
        return box[0]

    def gather(self, values: list[T]) -> list[T]:
        """Return the values of all processes, by rank, in every process."""
        if self.count == 1:
            return values
        return list(gather_object(values))

    def main_first(self, build: Callable[[], Any]) -> None:
        """Run something in the main process alone while the others wait for it; they fail when it failed."""
        problem: BaseException | None = None
        if self.is_main:
            try:
                build()
            except BaseException as error:
                problem = error
        if self.count > 1:
            self.check(problem)
        elif problem is not None:
            raise problem

    def check(self, problem: BaseException | None) -> None:
        """Raise the main process's exception in every process, so that none waits for a dead one."""
        shared = self.broadcast((type(problem), str(problem)) if problem is not None else None)
        if problem is not None:
            raise problem
        if shared is not None:
            kind, text = shared
            raise kind(text)
