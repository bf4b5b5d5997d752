"""Documents ranked by their passages (Dai and Callan 2019): windows of words or tokens, and one score of many."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers, Progress, ranges
from distilkit.data.scripts import units
from distilkit.data.texts import Texts, write_texts
from distilkit.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Scores = npt.NDArray[np.float64]
Unit = Literal["words", "tokens"]
Aggregation = Literal["max", "first", "sum", "avg"]

BATCH = 100


@dataclass(frozen=True)
class Windows:
    """A table of windows and where each document's start: those of document i are rows starts[i]:starts[i+1]."""

    texts: Texts
    starts: Integers

    @classmethod
    def open(cls, folder: Path) -> "Windows":
        """Map what `write_windows` left in a folder into memory."""
        return cls(Texts.open(folder / "windows.arrow"), np.load(folder / "starts.npy", mmap_mode="r"))

    def of(self, documents: Integers) -> tuple[Integers, Integers]:
        """Return the windows of some documents, and for each the place in `documents` of the one it belongs to."""
        first = np.asarray(self.starts[documents])
        counts = self.starts[documents + 1] - first
        owners = np.repeat(np.arange(len(documents)), counts)
        return ranges(first, counts), owners


def write_windows(
    folder: Path,
    documents: Texts,
    *,
    unit: Unit = "words",
    length: int = 150,
    stride: int = 75,
    tokenizer: "PreTrainedTokenizerFast | None" = None,
    progress: Progress,
) -> None:
    """Cut every document into windows and write them, `DOCUMENT#0`, `DOCUMENT#1` ..., a hundred documents at a time.

    Windows of tokens are cut where the tokens stand in the text, so that a word may be cut in two. An empty document
    is one empty window. Raises UserError for a stride that is not in 1..length.
    """
    check_window(length, stride)
    if unit == "tokens" and tokenizer is None:
        raise ValueError("windows of tokens need a tokenizer")
    starts = np.zeros(len(documents) + 1, np.int64)

    def rows() -> Iterator[tuple[str, str]]:
        done = 0
        for ids, texts in documents.batches(BATCH):
            for id, windows in zip(ids, _split(texts, unit, length, stride, tokenizer), strict=True):
                done += 1
                starts[done] = starts[done - 1] + len(windows)
                yield from ((f"{id}#{number}", window) for number, window in enumerate(windows))
            progress(done, len(documents))

    write_texts(folder / "windows.arrow", rows())
    np.save(folder / "starts.npy", starts)


def _split(
    texts: list[str], unit: Unit, length: int, stride: int, tokenizer: "PreTrainedTokenizerFast | None"
) -> Iterator[list[str]]:
    if unit == "words" or tokenizer is None:
        yield from (split_words(text, length, stride) for text in texts)
        return
    offsets = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    for text, tokens in zip(texts, offsets, strict=True):
        yield cut(text, tokens, length, stride)


def check_window(length: int, stride: int) -> None:
    """Raise UserError unless 1 <= stride <= length: a longer stride would skip what lies between the windows."""
    if not 1 <= stride <= length:
        raise UserError(
            f"passages of length {length} every {stride}: expected a stride of at least 1 and at most the length"
        )


def spans(size: int, length: int, stride: int) -> list[tuple[int, int]]:
    """Return (start, end) of the windows over `size` units: one every `stride`, until one reaches the end.

    A text no longer than `length`, an empty one too, is one window.
    """
    check_window(length, stride)
    # A further window is there only if the one before it did not reach the end: none lies within another.
    starts = takewhile(lambda start: start == 0 or start - stride + length < size, count(0, stride))
    return [(start, min(start + length, size)) for start in starts]


def split_words(text: str, length: int = 150, stride: int = 75) -> list[str]:
    """Return the windows of `length` words, one every `stride`, as they stand in the text.

    Words are between blanks; in scripts that are written without them every character counts as one.
    150 and 75 are the sizes that Dai and Callan (2019) rank documents by. Raises UserError for a stride that is not
    in 1..length.
    """
    return cut(text, units(text), length, stride)


def cut(text: str, units: Sequence[tuple[int, int]], length: int, stride: int) -> list[str]:
    """Return the windows of a text over units given by their (start, end) in it."""
    if not units:
        check_window(length, stride)
        return [""]
    return [text[units[start][0] : units[end - 1][1]] for start, end in spans(len(units), length, stride)]


def aggregate(scores: npt.ArrayLike, owners: Integers, count: int, how: Aggregation = "max") -> Scores:
    """Return the score of each of `count` documents: MaxP, FirstP, SumP (Dai and Callan 2019), or the mean.

    Args:
        scores: [windows]
        owners: [windows], the document of each window, in 0..count-1, in any order
        count: the number of documents; one without a window is a ValueError
        how: `max`, the best window; `first`, the first window in the order given; `sum`; `avg`
    """
    values: Scores = np.asarray(scores, np.float64)
    windows: Integers = np.bincount(owners, minlength=count)
    if not windows.all():
        raise ValueError(f"document {int(windows.argmin())} of {count} has no window to be scored by")
    if how == "max":
        best = np.full(count, -np.inf)
        np.maximum.at(best, owners, values)
        return best
    if how == "first":
        return values[np.unique(owners, return_index=True)[1]]
    sums = np.asarray(np.bincount(owners, weights=values, minlength=count), np.float64)
    return sums if how == "sum" else sums / windows


def best_windows(scores: npt.ArrayLike, owners: Integers, keep: int) -> Integers:
    """Return which windows are among the `keep` best of their document: by document, the best first.

    Of equal windows the earlier is the better. Chen et al. (2021) train on the five that the teacher scores best.
    """
    values = np.asarray(scores, np.float64)
    # Stable, so that equal windows stay in the order given.
    order = np.lexsort((-values, owners))
    sorted_owners = owners[order]
    ranks = np.arange(len(order)) - np.searchsorted(sorted_owners, sorted_owners)
    return order[ranks < keep]
