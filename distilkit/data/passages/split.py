"""Cutting a text into overlapping windows of words or tokens."""

import re
from collections.abc import Sequence
from itertools import count, takewhile
from typing import Any

from distilkit.errors import UserError

WORD = re.compile(r"\S+")


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
    """Return the windows of `length` blank-separated words, one every `stride`, as they stand in the text.

    150 and 75 are the sizes that Dai and Callan (2019) rank documents by. Raises UserError for a stride that is not
    in 1..length.
    """
    return cut(text, [word.span() for word in WORD.finditer(text)], length, stride)


def split_tokens(tokens: Sequence[int], length: int = 150, stride: int = 75) -> list[Any]:
    """Return the windows of `length` token ids, one every `stride`, as slices of what is given (a list or an array).

    Raises UserError for a stride that is not in 1..length.
    """
    return [tokens[start:end] for start, end in spans(len(tokens), length, stride)]


def cut(text: str, units: Sequence[tuple[int, int]], length: int, stride: int) -> list[str]:
    """Return the windows of a text over units given by their (start, end) in it."""
    if not units:
        check_window(length, stride)
        return [""]
    return [text[units[start][0] : units[end - 1][1]] for start, end in spans(len(units), length, stride)]
