"""Protocols for what long work needs around it: a place to report progress to, and the processes that share the work.

Training, evaluation and artifacts are written against these; a run brings the implementations.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


class ProgressPhase(Protocol):
    """A piece of work of known size, shown as one progress bar."""

    def advance(self, values: dict[str, float] | None = None, count: int = 1) -> None:
        """Count `count` more units as done and show figures such as the loss."""

    def reach(self, done: int, total: int | None = None, share: float | None = None) -> None:
        """Set how many units are done and how many there are, and of unequal ones which share of the work is done."""


class ProgressReporter(Protocol):
    """Where work reports progress, log lines and events, and learns that it should stop."""

    def phase(
        self, label: str, total: int, done: int = 0, training: bool = False, work: float = 0.0
    ) -> AbstractContextManager[ProgressPhase]:
        """Return a context that shows `total` units of work, of which each adds `work` seconds to the whole run's."""
        ...

    def say(self, text: str, quiet: bool = False, log: bool = True) -> None:
        """Write a line to the log and, unless quiet, to the screen."""

    def event(self, kind: str, stage: str, step: int, values: dict[str, Any]) -> None:
        """Record an event of a stage at a step."""

    def sync(self) -> None:
        """Write the events so far through to the disk."""

    def heartbeat(self, *, expect_next: float = 30, waiting: str = "") -> None:
        """Show that the work goes on; the next sign comes within `expect_next` seconds.

        `waiting` names the artifact (`KIND/KEY`) that another run is building and this one waits for.
        """

    def stop_requested(self) -> bool:
        """Return whether the work is asked to stop."""
        ...

    def raise_if_stopped(self) -> None:
        """Raise Stopped where the work is asked to stop and may stop here."""

    def stop(self) -> NoReturn:
        """Raise Stopped."""
        ...


class ProcessGroup(Protocol):
    """The processes that share the work; this process is the one at `rank`."""

    @property
    def rank(self) -> int:
        """This process's number, from 0."""
        ...

    @property
    def count(self) -> int:
        """How many processes there are."""
        ...

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        ...

    @property
    def device(self) -> "torch.device":
        """Where this process computes."""
        ...

    def broadcast(self, value: T) -> T:
        """Return the main process's value in every process."""
        ...

    def gather(self, values: list[T]) -> list[T]:
        """Return the values of all processes, by rank, in every process."""
        ...

    def on_main(self, work: Callable[[], T]) -> T:
        """Do something in the main process alone and return its value, or raise its failure, in all of them."""
        ...

    def wait(self) -> None:
        """Return once every process has come here."""


class OneProcess:
    """A group of this process alone, which starts no process group and needs no torch before its device is asked."""

    rank = 0
    count = 1
    is_main = True

    @property
    def device(self) -> "torch.device":
        """The device that a run would compute on."""
        import torch

        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def broadcast(self, value: T) -> T:
        """Return the value."""
        return value

    def gather(self, values: list[T]) -> list[T]:
        """Return the values."""
        return values

    def on_main(self, work: Callable[[], T]) -> T:
        """Do the work here."""
        return work()

    def wait(self) -> None:
        """Return at once."""
