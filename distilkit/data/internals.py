"""What a teacher computes inside of examples, kept on disk: attention scores, hidden states and class logits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers, packed
from distilkit.errors import RunFailed

Stored = Literal["float16", "float32"]
Numbers = npt.NDArray[np.floating[Any]]


class Layout(NamedTuple):
    """How much is kept of an example: attention scores of so many layers and heads, so many states of a size."""

    layers: int
    heads: int
    states: int
    hidden: int

    def attention_numbers(self, lengths: Integers) -> Integers:
        """Return the attention scores that examples of these lengths have: layers x heads x L x L."""
        return self.layers * self.heads * lengths.astype(np.int64) ** 2

    def state_numbers(self, lengths: Integers) -> Integers:
        """Return the numbers in the states of examples of these lengths: states x L x size."""
        return self.states * self.hidden * lengths.astype(np.int64)

    def bytes(self, lengths: Integers, dtype: Stored) -> int:
        """Return what examples of these lengths take on disk."""
        numbers = self.attention_numbers(lengths).sum() + self.state_numbers(lengths).sum()
        return int(numbers) * np.dtype(dtype).itemsize


class Taught(NamedTuple):
    """A teacher's side of some examples: classes [b, 2], attentions of each layer [b, heads, L, L], states [b, L, H].

    Padding holds zeros, which no loss reads.
    """

    classes: npt.NDArray[np.float32]
    attentions: list[Numbers]
    states: list[Numbers]

    @classmethod
    def blank(cls, layout: Layout, lengths: Integers, dtype: Stored) -> Self:
        """Return zeros for examples of these lengths."""
        count, width = len(lengths), int(lengths.max(initial=0))
        attention, state = (count, layout.heads, width, width), (count, width, layout.hidden)
        return cls(
            np.zeros((count, 2), np.float32),
            [np.zeros(attention, dtype) for _ in range(layout.layers)],
            [np.zeros(state, dtype) for _ in range(layout.states)],
        )


class Internals(Protocol):
    """What knows a teacher's side of examples by their rows in the collection (or the number of a text)."""

    def of(self, queries: Integers, passages: Integers) -> Taught:
        """Return the teacher's side of some examples, padded to the longest of them."""
        ...


@dataclass(frozen=True)
class InternalsStore:
    """The teacher's side of distinct examples, mapped into memory: what a batch asks for is read.

    `keys` [n] are query row x 2^32 + passage row, in ascending order, `lengths` [n] their tokens; `attentions` and
    `states` hold example after example without padding.
    """

    layout: Layout
    keys: Integers
    lengths: Integers
    classes: npt.NDArray[np.float32]
    attentions: Numbers
    states: Numbers
    starts: tuple[Integers, Integers]

    @classmethod
    def create(cls, folder: Path, layout: Layout, keys: Integers, lengths: Integers, dtype: Stored) -> Self:
        """Write an empty store to a folder, to be filled by `put`."""
        np.save(folder / "keys.npy", keys)
        np.save(folder / "lengths.npy", lengths.astype(np.int32))
        np.save(folder / "layout.npy", np.array(layout, np.int64))
        sizes = {"attentions": layout.attention_numbers(lengths).sum(), "states": layout.state_numbers(lengths).sum()}
        for name, size in sizes.items():
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.dtype(dtype), (int(size),)).flush()
        np.lib.format.open_memmap(folder / "classes.npy", "w+", np.dtype("float32"), (len(keys), 2)).flush()
        return cls.open(folder, "r+")

    @classmethod
    def open(cls, folder: Path, mode: Literal["r", "r+"] = "r") -> Self:
        """Map the store in a folder."""
        layout = Layout(*np.load(folder / "layout.npy").tolist())
        keys, lengths = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("keys", "lengths"))
        counts = layout.attention_numbers(lengths), layout.state_numbers(lengths)
        starts = counts[0].cumsum() - counts[0], counts[1].cumsum() - counts[1]
        classes, attentions, states = (
            _mapped(folder / f"{name}.npy", mode) for name in ("classes", "attentions", "states")
        )
        return cls(layout, keys, lengths, classes, attentions, states, starts)

    def put(self, rows: Integers, found: Taught) -> None:
        """Keep the teacher's side of some rows of the store, which comes padded.

        Raises RunFailed where a number does not fit into the store's type.
        """
        self.classes[rows] = found.classes
        for place, row in enumerate(rows.tolist()):
            length = int(self.lengths[row])
            sides = (
                (self.attentions, self.starts[0], [one[place, :, :length, :length] for one in found.attentions]),
                (self.states, self.starts[1], [one[place, :length] for one in found.states]),
            )
            for kept, starts, parts in sides:
                if parts:
                    with np.errstate(over="ignore"):
                        numbers = np.stack(parts).astype(kept.dtype).ravel()
                    if not np.isfinite(numbers).all():
                        raise RunFailed(
                            f"the teacher's states or attention scores do not fit into {kept.dtype}; set [teacher] "
                            'internals = "float32", or "online"'
                        )
                    kept[starts[row] : starts[row] + len(numbers)] = numbers

    def of(self, queries: Integers, passages: Integers) -> Taught:
        """Return the teacher's side of examples, which must be among those kept, padded to the longest of them."""
        rows = np.searchsorted(self.keys, packed(queries, passages))
        lengths, layout = self.lengths[rows], self.layout
        found = Taught.blank(layout, lengths, self.states.dtype.name)  # type: ignore[arg-type]
        found.classes[:] = self.classes[rows]
        for place, (row, length) in enumerate(zip(rows.tolist(), lengths.tolist(), strict=True)):
            shape = layout.layers, layout.heads, length, length
            scores = _part(self.attentions, self.starts[0][row], shape)
            states = _part(self.states, self.starts[1][row], (layout.states, length, layout.hidden))
            for number, target in enumerate(found.attentions):
                target[place, :, :length, :length] = scores[number]
            for number, target in enumerate(found.states):
                target[place, :length] = states[number]
        return found


@dataclass(frozen=True)
class BlankInternals:
    """Zeros in the place of a teacher's side, to time steps before there is one; `counts` gives examples' lengths."""

    layout: Layout
    counts: Any
    dtype: Stored

    def of(self, queries: Integers, passages: Integers) -> Taught:
        """Return zeros, padded to the longest of the examples."""
        return Taught.blank(self.layout, self.counts(queries, passages), self.dtype)


def _mapped(path: Path, mode: Literal["r", "r+"]) -> Any:
    # An empty file cannot be mapped.
    return np.load(path, mmap_mode=mode if path.stat().st_size > 128 else None)


def _part(numbers: Numbers, start: int, shape: tuple[int, ...]) -> Numbers:
    return numbers[start : start + int(np.prod(shape))].reshape(shape)
