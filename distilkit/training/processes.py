"""The processes that train together: one by default, several under `accelerate launch` or `torchrun`."""

import atexit
import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn

from distilkit.alive import is_alive, process_start
from distilkit.errors import GroupLost, RunFailed, Stopped, UserError
from distilkit.training.memory import keep_freed_memory, start_flushing_workers

T = TypeVar("T")

# A process may wait long for one that builds something alone, such as a first-stage run.
PATIENCE = timedelta(days=1)
# How long a process that failed waits for the others to fail alike.
TOGETHER = timedelta(seconds=60)
# Words of the errors of a group that has lost a process.
BROKEN = ("gloo", "Connection closed by peer", "Connection reset by peer", "NCCL", "TCPStore", "Broken pipe")


class Processes:
    """Rank, number and device of this process, and how it talks to the others."""

    def __init__(self) -> None:
        # Accelerate takes launched processes without an accelerator for strangers unless it is told that they use CPUs.
        on_cpus = "LOCAL_RANK" in os.environ and not torch.accelerator.is_available()
        self.state = PartialState(cpu=on_cpus, timeout=PATIENCE)
        self._alone = False
        self._failures = 0
        self._peers: list[tuple[str, int, str | None]] = []
        if self.count > 1:
            leave_at_exit()
            pid = os.getpid()
            self._peers = self.gather([(socket.gethostname(), pid, process_start(pid))])
        keep_freed_memory()
        start_flushing_workers()

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

    def wait(self) -> None:
        """Return once every process has come here."""
        self.state.wait_for_everyone()

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

    def require_together(self, problem: str) -> None:
        """Return where all processes have failed, so that they can go on with something else; else raise GroupLost.

        They tell each other through the group's store: one that has not failed waits for a message of another kind.
        """
        if self.count == 1:
            return
        self._failures += 1
        names = [f"distilkit/failed/{self._failures}/{rank}" for rank in range(self.count)]
        store = torch.distributed.distributed_c10d._get_default_store()
        store.set(names[self.rank], "failed")
        try:
            store.wait(names, TOGETHER)
        except Exception:  # the store's own, which has changed its kind; or the process that keeps it has ended
            raise GroupLost(f"process {self.rank} failed alone, which ends the others: {problem}") from None

    def lost(self, error: Exception) -> str:
        """Return which processes of the group have ended, where an error says that one has; else an empty text."""
        if not any(word in str(error) for word in BROKEN):
            return ""
        end = time.monotonic() + 5  # one that breaks off is there for a moment yet
        while not (gone := self._gone()) and time.monotonic() < end:
            time.sleep(0.1)
        if not gone:
            return "has lost contact with another one, on another machine or too busy to answer"
        return f"has lost {' and '.join(gone)}, which failed or was killed"

    def _gone(self) -> list[str]:
        """Return the processes of the group on this machine that have ended."""
        here = [
            (rank, pid, start) for rank, (host, pid, start) in enumerate(self._peers) if host == socket.gethostname()
        ]
        return [f"process {rank} (pid {pid})" for rank, pid, start in here if not is_alive(pid, start)]

    def on_main(self, work: Callable[[], T]) -> T:
        """Do something in the main process alone and return its value in all of them.

        Where it fails there, it fails in all of them, so that none waits for a dead one.
        """
        if self._alone:
            raise RuntimeError("one process alone cannot ask for work that is shared: the others would wait for it")
        found: list[T] = []
        problem: BaseException | None = None
        if self.is_main:
            self._alone = True
            try:
                found.append(work())
            except BaseException as error:
                problem = error
            finally:
                self._alone = False
        found, failure = self.broadcast((found, _shared(problem)))
        if problem is not None:
            raise problem
        if failure is not None:
            raise failure
        return found[0]


@cache
def leave_at_exit() -> None:
    """Leave the group of processes before the interpreter ends, which aborts where threads of torch are still there."""
    atexit.register(_leave)


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _shared(problem: BaseException | None) -> BaseException | None:
    """Return an exception in a form that reaches other processes, whatever its own class needs to be made."""
    if problem is None:
        return None
    kinds: tuple[type[BaseException], ...] = (UserError, Stopped, KeyboardInterrupt)
    return next((kind for kind in kinds if isinstance(problem, kind)), RunFailed)(str(problem))


def leaves_some_alone(module: nn.Module, loss: Tensor) -> bool:
    """Return whether a loss depends on fewer than all of a module's trained parameters."""
    needed = reached(loss)
    return any(one.requires_grad and one not in needed for one in module.parameters())


def reached(loss: Tensor) -> set[Tensor]:
    """Return the parameters that a loss is differentiated to."""
    found: set[Tensor] = set()
    nodes, seen = [loss.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        # A node that adds up a leaf's gradient knows the leaf.
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found.add(leaf)
        nodes.extend(before for before, _ in node.next_functions)
    return found
