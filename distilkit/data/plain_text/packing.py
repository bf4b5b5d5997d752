"""Documents tokenised once and cut into sequences of a model's length, in the layout of a `TokenStore`."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from distilkit.data.arrays import Progress
from distilkit.data.tokens import Template, token_writer
from distilkit.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


# A sequence of fewer tokens teaches nothing; it is a heading, or the last words of a document.
LEAST = 5
CHARACTERS = 1_000_000


def write_sequences(
    folder: Path,
    documents: Iterable[str],
    tokenizer: "PreTrainedTokenizerFast",
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
    room = max_length - Template.of(tokenizer, texts=1).specials
    if room < LEAST:
        raise UserError(f"max_length = {max_length}: expected at least {max_length - room + LEAST} for plain text")
    with token_writer(folder, len(tokenizer)) as store:
        for kept in _limited(_sequences(documents, tokenizer, room), max_sequences):
            store.add(kept, [len(sequence) for sequence in kept])
            progress(store.lengths.count, max_sequences or 0)
    if not store.lengths.count:
        raise UserError(f"the plain text is too short for a sequence; expected a document of {LEAST} tokens or more")
    return store.lengths.count


def _limited(batches: Iterable[list[list[int]]], limit: int | None) -> Iterator[list[list[int]]]:
    """Yield the batches that are not empty, up to a number of sequences."""
    count = 0
    for batch in batches:
        kept = batch if limit is None else batch[: limit - count]
        count += len(kept)
        if kept:
            yield kept
        if count == limit:
            return


def _sequences(documents: Iterable[str], tokenizer: "PreTrainedTokenizerFast", room: int) -> Iterator[list[list[int]]]:
    for texts in _batches(documents):
        encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        pieces = (ids[start : start + room] for ids in encoded for start in range(0, len(ids), room))
        yield [piece for piece in pieces if len(piece) >= LEAST]


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
