"""Documents tokenised once and cut into sequences of a model's length, in the layout of a `TokenStore`."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distilkit.data.arrays import Progress, appended
from distilkit.data.tokens import Template, token_writer
from distilkit.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


# A sequence of fewer tokens teaches nothing; it is a heading, or the last words of a document.
LEAST = 5
CHARACTERS = 1_000_000
# The file that says which document each sequence of pairs is of.
DOCUMENTS = "documents.npy"

# The number of a document and the tokens of a part of it.
Part = tuple[int, list[int]]


def write_sequences(
    folder: Path,
    documents: Iterable[str],
    tokenizer: "PreTrainedTokenizerFast",
    max_length: int,
    progress: Progress,
    max_sequences: int | None = None,
    pairs: bool = False,
) -> int:
    """Cut documents into sequences of consecutive tokens, write them for `TokenStore.open`, and return their number.

    A sequence never runs over its document's end, has at most `max_length` tokens with the special tokens that a
    batch adds, and at least five without. `progress(done, total)` counts sequences; the total is `max_sequences`, or 0
    where nothing limits them. With `pairs` there is room for the special tokens of two texts, and documents.npy has the
    number of each sequence's document. Raises UserError for a `max_length` with room for fewer than five tokens, if no
    sequence comes of the documents, or if pairs would all be of one document.
    """
    room = max_length - Template.of(tokenizer, texts=2 if pairs else 1).specials
    if room < LEAST:
        raise UserError(f"max_length = {max_length}: expected at least {max_length - room + LEAST} for plain text")
    found: set[int] = set()
    with token_writer(folder, len(tokenizer)) as store, ExitStack() as stack:
        owners = stack.enter_context(appended(folder / DOCUMENTS, np.int64)) if pairs else None
        for kept in _limited(_sequences(documents, tokenizer, room), max_sequences):
            store.add([tokens for _, tokens in kept], [len(tokens) for _, tokens in kept])
            if owners is not None:
                owners.append([document for document, _ in kept])
            found.update((kept[0][0], kept[-1][0]))
            progress(store.lengths.count, max_sequences or 0)
    if not store.lengths.count:
        raise UserError(f"the plain text is too short for a sequence; expected a document of {LEAST} tokens or more")
    if pairs and len(found) < 2:
        raise UserError(
            f"the sequences of the plain text ({store.lengths.count}) are all of one document, and half of the pairs "
            "take their second text from another one; expected two documents or more (or [general] pairs = false)"
        )
    return store.lengths.count


def _limited(batches: Iterable[list[Part]], limit: int | None) -> Iterator[list[Part]]:
    """Yield the batches that are not empty, up to a number of sequences."""
    count = 0
    for batch in batches:
        kept = batch if limit is None else batch[: limit - count]
        count += len(kept)
        if kept:
            yield kept
        if count == limit:
            return


def _sequences(documents: Iterable[str], tokenizer: "PreTrainedTokenizerFast", room: int) -> Iterator[list[Part]]:
    before = 0
    for texts in _batches(documents):
        encoded = enumerate(tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"], before)
        pieces = ((number, ids[start : start + room]) for number, ids in encoded for start in range(0, len(ids), room))
        yield [(number, piece) for number, piece in pieces if len(piece) >= LEAST]
        before += len(texts)


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
