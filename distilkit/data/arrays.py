"""Arrays that are written as they come and mapped into memory when they are read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt


class Appended:
    """A .npy file under way: rows are appended to it, and its header tells their number when it is closed."""

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
