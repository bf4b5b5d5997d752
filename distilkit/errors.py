"""The ways a command ends other than well, each with the exit code the command line gives it."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

# What torch says in a RuntimeError where it has no class for it, by device and library.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "CUDA out of memory", "CUDA error: out of memory")
_NO_MEMORY_OF_LIBRARIES = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "std::bad_alloc")


class UserError(Exception):
    """The user's input is wrong (exit code 2): one sentence naming the file, the line or key, and what was expected."""


class Busy(UserError):  # noqa: N818
    """Another process works on what was asked for (exit code 2)."""


class RunFailed(Exception):  # noqa: N818
    """The run itself failed (exit code 1), for instance because a loss was not finite."""


class NotFinite(RunFailed):
    """Scores are not finite numbers; whose they are says whether the run failed or was given a broken model."""


class GroupLost(RunFailed):
    """A process of the group has ended, and the others with it (exit code 1): none of them can go on."""


class Stopped(Exception):  # noqa: N818
    """The run was asked to stop and left a checkpoint (exit code 130)."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an allocation failed: of Python, NumPy and Arrow (a MemoryError), of torch, or of the system."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = str(error)
    return isinstance(error, RuntimeError) and any(text in said for text in (*_NO_MEMORY, *_NO_MEMORY_OF_LIBRARIES))


def said_of_memory(error: BaseException) -> str:
    """Return in a few words that memory ran out, and what the one that failed said first."""
    first = next(iter(str(error).splitlines()), "").strip()[:200]
    return f"memory ran out ({first})" if first else "memory ran out"


def out_of_memory(error: BaseException, lower: str | None = None) -> str:
    """Return what is said of a failed allocation, and what to lower against it."""
    keys = "per_device_train_batch_size, per_device_eval_batch_size or [data] max_length, or give it a larger machine"
    return f"{said_of_memory(error)}: lower {lower or keys}; nothing that was finished is lost"


@contextmanager
def lowering(what: str) -> Iterator[None]:
    """Turn a failed allocation in a block into a RunFailed that says what to lower."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise RunFailed(out_of_memory(error, what)) from error


def first_line(error: Exception) -> str:
    """Return an error's first line, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a clause such as `; did you mean 'temperature'?`, or the list of known names where nothing is near."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""
