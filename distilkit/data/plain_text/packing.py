"""Documents tokenised once and cut into sequences of a model's length, in the layout of a `TokenStore`."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from distilkit.data.plain_text.tokens import TextTemplate
from distilkit.data.tokens import Tokens
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
    with (folder / "tokens.bin").open("wb") as tokens, (folder / "lengths.bin").open("wb") as lengths:
        count = _write(tokens, lengths, _sequences(documents, tokenizer, room), progress, max_sequences)
    if not count:
        raise UserError(f"the plain text makes no sequence; expected a document of {LEAST} tokens or more")
    sizes = np.fromfile(folder / "lengths.bin", np.int64)
    # Mapped, so that saving copies from file to file.
    np.save(folder / "tokens.npy", np.memmap(folder / "tokens.bin", np.int32, "r"))
    np.save(folder / "lengths.npy", sizes)
    np.save(folder / "starts.npy", np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]))
    for name in ("tokens.bin", "lengths.bin"):
        (folder / name).unlink()
    return count


def _write(
    tokens: IO[bytes],
    lengths: IO[bytes],
    batches: Iterable[list[Tokens]],
    progress: Progress,
    limit: int | None,
) -> int:
    count = 0
    for batch in batches:
        kept = batch if limit is None else batch[: limit - count]
        if kept:
            tokens.write(np.concatenate(kept).tobytes())
            lengths.write(np.array([len(sequence) for sequence in kept], np.int64).tobytes())
        count += len(kept)
        progress(count, limit or 0)
        if count == limit:
            break
    return count


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
