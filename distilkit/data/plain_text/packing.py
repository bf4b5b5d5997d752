"""Documents tokenised once and cut into sequences of a model's length, in the layout of a `TokenStore`."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from distilkit.data.arrays import appended
from distilkit.data.plain_text.tokens import TextTemplate
from distilkit.data.tokens import Tokens, token_type
from distilkit.errors import UserError

Progress = Callable[[int, int], None]

# A sequence of fewer tokens teaches nothing; it is a heading, or the last words of a document.
LEAST = 5
CHARACTERS = 1_000_000


def write_sequences(
    folder: Path,
    documents: Iterable[str],
    tokenizer: Any,
    max_length: int,
    progress: Progress,
    max_sequences: int | None = None,
) -> int:
    """Cut documents into sequences of consecutive tokens, write them for `TokenStore.open`, and return their number.

    A sequence never runs over its document's end, has at most `max_length` tokens with the special tokens that a
    batch adds, and at least five without. `progress(done, total)` counts sequences; the total is `max_sequences`, or 0
    where nothing limits them. Raises UserError for a `max_length` with room for fewer than five tokens, or if no
    sequence comes of the documents.
    """
    room = max_length - TextTemplate.of(tokenizer).specials
    if room < LEAST:
        raise UserError(f"max_length = {max_length}: expected at least {max_length - room + LEAST} for plain text")
    with (
        appended(folder / "tokens.npy", token_type(len(tokenizer))) as tokens,
        appended(folder / "lengths.npy", np.int64) as lengths,
        appended(folder / "starts.npy", np.int64) as starts,
    ):
        starts.append([0])
        for kept in _limited(_sequences(documents, tokenizer, room), max_sequences):
            sizes = np.array([len(sequence) for sequence in kept], np.int64)
            starts.append(tokens.count + np.cumsum(sizes))
            tokens.append(np.concatenate(kept))
            lengths.append(sizes)
            progress(lengths.count, max_sequences or 0)
    if not lengths.count:
        raise UserError(f"the plain text makes no sequence; expected a document of {LEAST} tokens or more")
    return lengths.count


def _limited(batches: Iterable[list[Tokens]], limit: int | None) -> Iterator[list[Tokens]]:
    """Yield the batches that are not empty, up to a number of sequences."""
    count = 0
    for batch in batches:
        kept = batch if limit is None else batch[: limit - count]
        count += len(kept)
        if kept:
            yield kept
        if count == limit:
            return


def _sequences(documents: Iterable[str], tokenizer: Any, room: int) -> Iterator[list[Tokens]]:
    for texts in _batches(documents):
        batch: list[Tokens] = []
        for ids in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]:
            tokens = np.asarray(ids, np.int32)
            pieces = (tokens[start : start + room] for start in range(0, len(tokens), room))
            batch.extend(piece for piece in pieces if len(piece) >= LEAST)
        yield batch


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    """Yield documents in groups of about a million characters, so that memory depends on no number of documents."""
    batch: list[str] = []
    size = 0
    for text in documents:
        batch.append(text)
        size += len(text)
        if size >= CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
