"""Arrays: their types, files that are written as rows come, and files that are mapped into memory or read in pieces."""

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]
"""Told how much of some work is done, and how much there is in all."""


def packed(queries: npt.NDArray[np.integer[Any]], passages: npt.NDArray[np.integer[Any]]) -> Integers:
    """Return pairs of row numbers as one number each, query row x 2^32 + passage row, which sorts as the pairs do."""
    # Rows of files are 32 bits wide.
    return (queries.astype(np.int64) << 32) | passages.astype(np.int64)


def unpacked(pairs: Integers) -> tuple[Integers, Integers]:
    """Return the query rows and passage rows of pairs that were packed."""
    return pairs >> 32, pairs & 0xFFFFFFFF


class Appended:
    """A .npy file that rows are appended to; its header states their number once it is finished."""

    def __init__(self, file: IO[bytes], dtype: npt.DTypeLike, row: tuple[int, ...]) -> None:
        self._file, self._dtype, self._row = file, np.dtype(dtype), row
        self.count = 0
        self._header()

    def append(self, rows: npt.ArrayLike) -> None:
        """Write some rows."""
        values = np.ascontiguousarray(rows, self._dtype)
        self._file.write(values.data)
        self.count += len(values)

    def finish(self) -> None:
        """Write the header again, with the number of rows; numpy leaves room for it to grow."""
        self._file.seek(0)
        self._header()

    def _header(self) -> None:
        shape = (self.count, *self._row)
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


@contextmanager
def appended(path: Path, dtype: npt.DTypeLike, row: tuple[int, ...] = ()) -> Iterator[Appended]:
    """Write an array of rows of a shape whose number is not known ahead."""
    with path.open("wb") as file:
        array = Appended(file, dtype, row)
        yield array
        array.finish()


def mapped(path: Path) -> npt.NDArray[Any]:
    """Map an array into memory: its pages are read as they are used, and shared between processes."""
    # A plain view: numpy's own class of mapped arrays makes every small piece of one slow.
    found: npt.NDArray[Any] = np.asarray(np.load(path, mmap_mode="r"))
    return found


def ranges(starts: npt.NDArray[np.integer], counts: npt.NDArray[np.integer]) -> Integers:
    """Return the numbers from each start on, so many of each, one range after the other.

    Example:
        >>> ranges(np.array([7, 0]), np.array([3, 2]))
        array([7, 8, 9, 0, 1])
    """
    found: Integers = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    return found


class ArrayFile:
    """A flat .npy file that is read in pieces: unlike a mapped one it leaves no pages in the process's memory."""

    def __init__(self, path: Path) -> None:
        array = np.load(path, mmap_mode="r")
        self.path, self.dtype, self._start = path, array.dtype, int(array.offset)
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def pieces(self, starts: npt.NDArray[np.integer], counts: npt.NDArray[np.integer]) -> npt.NDArray[Any]:
        """Return so many entries from each start on, one piece after the other; raises OSError for a file cut short."""
        size = self.dtype.itemsize
        places = zip((self._start + starts * size).tolist(), (counts * size).tolist(), strict=True)
        found = b"".join([os.pread(self._file, length, place) for place, length in places])
        if len(found) != size * counts.sum():
            raise OSError(f"{self.path} is incomplete: it is shorter than when it was written")
        return np.frombuffer(found, self.dtype)

    def __reduce__(self) -> tuple[type["ArrayFile"], tuple[Path]]:
        return ArrayFile, (self.path,)
