"""The ways a command ends other than well, each with the exit code the command line gives it."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """The user's input is wrong (exit code 2): one sentence naming the file, the line or key, and what was expected."""


class Busy(UserError):  # noqa: N818
    """Another process works on what was asked for (exit code 2)."""


class RunFailed(Exception):  # noqa: N818
    """The run itself failed (exit code 1), for instance because a loss was not finite."""


class Stopped(Exception):  # noqa: N818
    """The run was asked to stop and left a checkpoint (exit code 130)."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a clause such as `; did you mean 'temperature'?`, or the list of known names where nothing is near."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""
