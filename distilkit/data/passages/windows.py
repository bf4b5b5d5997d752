"""The windows of every document of a table, as a table of their own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from distilkit.data.passages.split import check_window, cut, split_words
from distilkit.data.texts import Texts, write_texts

Integers = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]
Unit = Literal["words", "tokens"]

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
        places = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        return first[owners] + places, owners


def write_windows(
    folder: Path,
    documents: Texts,
    *,
    unit: Unit = "words",
    length: int = 150,
    stride: int = 75,
    tokenizer: Any = None,
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


def _split(texts: list[str], unit: Unit, length: int, stride: int, tokenizer: Any) -> Iterator[list[str]]:
    if unit == "words":
        yield from (split_words(text, length, stride) for text in texts)
        return
    offsets = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    for text, tokens in zip(texts, offsets, strict=True):
        yield cut(text, tokens, length, stride)
