"""The graph: results that are made of other results, each known by the content of everything that it depends on."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from distilkit.files import content_key

if TYPE_CHECKING:
    from distilkit.pipeline.workspace import Workspace

T = TypeVar("T")

FORMAT = 2
"""Raised when stored results of an earlier version must not be taken up."""


class Node(ABC, Generic[T]):
    """A result and what it is made of. Subclasses are frozen dataclasses, whose fields say how the result is computed.

    Two nodes of one key are the same result: `identity` declares every field and input that changes it, never paths,
    process counts, devices or logging.
    """

    kind: ClassVar[str]

    @property
    def inputs(self) -> "tuple[Node[Any], ...]":
        """The nodes that must be there before this one is computed: those of its fields, where it names no others."""
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return tuple(value for value in values if isinstance(value, Node))

    @property
    def reads(self) -> dict[str, str]:
        """What it reads from outside the graph: the name that messages call it, and the hash of its content."""
        return {}

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what the result depends on, as plain data: keys of inputs, content hashes, and settings."""

    @cached_property
    def key(self) -> str:
        """The sha256 of the canonical JSON of kind, format and identity."""
        return content_key({"kind": self.kind, "format": FORMAT, **self.identity()})

    def check(self, workspace: "Workspace") -> None:
        """Raise UserError for what can be seen to be wrong before anything is computed; computes nothing itself."""

    def work(self, workspace: "Workspace") -> float:
        """Return the seconds of computing it, for the forecast; what takes no forward pass counts nothing."""
        return 0.0

    @abstractmethod
    def value(self, workspace: "Workspace") -> T:
        """Return the result, whose inputs are there; `Workspace.value` keeps it for the next who asks."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class Artifact(Node[T]):
    """A node whose result is kept on disk, in a folder `KIND/KEY/` that all runs of a workspace share.

    `together` tells that all processes build it together and the main one writes; else the main process builds it
    alone, and the others wait.
    """

    together: ClassVar[bool] = False

    @property
    def address(self) -> str:
        """Its folder below that of all artifacts."""
        return f"{self.kind}/{self.key}"

    @abstractmethod
    def build(self, folder: Path, workspace: "Workspace") -> dict[str, Any] | None:
        """Write the result into an empty folder; may return facts for the manifest. Its inputs are there."""

    @abstractmethod
    def open(self, folder: Path, workspace: "Workspace") -> T:
        """Return the result from the folder that `build` filled."""

    def value(self, workspace: "Workspace") -> T:
        """Return the result from its folder."""
        return self.open(workspace.path(self), workspace)


def walk(targets: "tuple[Node[Any], ...] | list[Node[Any]]", done: Callable[[Node[Any]], bool]) -> Iterator[Node[Any]]:
    """Yield the nodes that the targets are made of, and these, each once and after its inputs.

    Nodes that are `done` are left out, and so is what only they are made of.
    """
    seen: set[str] = set()

    def visit(node: Node[Any]) -> Iterator[Node[Any]]:
        if node.key in seen:
            return
        seen.add(node.key)
        if done(node):
            return
        for other in node.inputs:
            yield from visit(other)
        yield node

    for target in targets:
        yield from visit(target)


def every(targets: "tuple[Node[Any], ...] | list[Node[Any]]") -> Iterator[Node[Any]]:
    """Yield all nodes of the graph below some targets, done or not."""
    return walk(targets, lambda node: False)
