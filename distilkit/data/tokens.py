"""Texts tokenised once into memory-mapped arrays, and pairs put together from them as the tokenizer would."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Appended, ArrayFile, appended, mapped, ranges
from distilkit.data.passages import Aggregation, Windows
from distilkit.data.texts import Texts
from distilkit.files import content_key

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Integers = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.integer]
Progress = Callable[[int, int], None]

BATCH = 1000


@dataclass(frozen=True)
class TokenStore:
    """The tokens of every text of a table, without special tokens: one flat array and where each text starts.

    Tokens have two bytes where the vocabulary allows it, as BERT's does.

    No text keeps more than `max_length` tokens, the most that a pair can use; `lengths` holds the lengths before that
    cut, by which the tokenizer decides which side of a pair is the longer one.
    """

    tokens: Tokens
    starts: Integers
    lengths: Integers
    file: ArrayFile | None = None

    @classmethod
    def open(cls, folder: Path) -> "TokenStore":
        """Map the arrays of a folder into memory."""
        tokens, starts, lengths = (mapped(folder / f"{name}.npy") for name in ("tokens", "starts", "lengths"))
        return cls(tokens, starts, lengths, ArrayFile(folder / "tokens.npy"))

    def __getitem__(self, index: int) -> Tokens:
        return self.tokens[self.starts[index] : self.starts[index + 1]]

    def first(self, rows: Integers, counts: Integers) -> Tokens:
        """Return the first tokens of some texts, so many of each, one text after the other."""
        if self.file is not None:
            return self.file.pieces(self.starts[rows], counts)
        found: Tokens = self.tokens[ranges(self.starts[rows], counts)]
        return found


@dataclass(frozen=True)
class TokenWriter:
    """The arrays of a `TokenStore` under way."""

    tokens: Appended
    starts: Appended
    lengths: Appended

    def add(self, texts: Sequence[Sequence[int]], lengths: Sequence[int]) -> None:
        """Write the tokens that are kept of some texts, and the texts' lengths before they were cut."""
        self.starts.append(self.tokens.count + np.cumsum([len(one) for one in texts]))
        self.tokens.append(list(chain.from_iterable(texts)))
        self.lengths.append(lengths)


@contextmanager
def token_writer(folder: Path, vocabulary: int) -> Iterator[TokenWriter]:
    """Write a store for `TokenStore.open`, text by text; tokens take two bytes where the vocabulary allows it."""
    with (
        appended(folder / "tokens.npy", np.uint16 if vocabulary <= 1 << 16 else np.int32) as tokens,
        appended(folder / "starts.npy", np.int64) as starts,
        appended(folder / "lengths.npy", np.int64) as lengths,
    ):
        starts.append([0])
        yield TokenWriter(tokens, starts, lengths)


def write_token_store(
    folder: Path, texts: Texts, tokenizer: "PreTrainedTokenizerFast", max_length: int, progress: Progress
) -> None:
    """Tokenise a table of texts into a folder, a thousand at a time so that memory does not grow with the table."""
    with token_writer(folder, len(tokenizer)) as store:
        for _, batch in texts.batches(BATCH):
            ids = tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"]
            store.add([one[:max_length] for one in ids], [len(one) for one in ids])
            progress(store.lengths.count, len(texts))


def tokenizer_identity(tokenizer: "PreTrainedTokenizerFast") -> str:
    """Return the sha256 of what a fast tokenizer does to a text, whatever length it would cut or pad to."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = {name: value for name, value in backend.items() if name not in ("truncation", "padding")}
    return content_key({"backend": kept, "pad": tokenizer.pad_token_id, "inputs": list(tokenizer.model_input_names)})


@dataclass(frozen=True)
class PairTemplate:
    """The special tokens around a query and a passage, read off the tokenizer: [CLS] q [SEP] p [SEP] for BERT."""

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    types: tuple[int, int, int, int, int] | None
    pad: int
    pad_type: int

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerFast") -> "PairTemplate":
        """Encode a pair of one-token texts and see what the tokenizer puts around them."""
        encoded = tokenizer("a", "b", return_token_type_ids=True)
        ids, sides, types = encoded["input_ids"], encoded.sequence_ids(), encoded["token_type_ids"]
        first, second = sides.index(0), sides.index(1)
        end = len(sides) - sides[::-1].index(1)
        used = "token_type_ids" in tokenizer.model_input_names
        middle_start = len(sides[:second]) - sides[:second][::-1].index(0)
        spots = (0, first, middle_start, second, len(sides) - 1)
        return cls(
            prefix=tuple(ids[:first]),
            middle=tuple(ids[middle_start:second]),
            suffix=tuple(ids[end:]),
            types=tuple(types[spot] for spot in spots) if used else None,
            pad=tokenizer.pad_token_id,
            pad_type=tokenizer.pad_token_type_id,
        )

    @property
    def specials(self) -> int:
        """How many special tokens a pair has."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)


def cut_pair(queries: Integers, passages: Integers, room: int) -> tuple[Integers, Integers]:
    """Return how many tokens of each query and passage stay when `room` tokens are left for both.

    The rule is `longest_first` as Hugging Face's fast tokenizers compute it.
    """
    shorter, longer = np.minimum(queries, passages), np.maximum(queries, passages)
    kept_longer = np.minimum(longer, np.where(shorter > room, shorter, np.maximum(shorter, room - shorter)))
    halves = shorter + kept_longer > room
    kept_shorter = np.where(halves, room // 2, shorter)
    kept_longer = np.where(halves, room // 2 + room % 2, kept_longer)
    query_longer = queries > passages
    return np.where(query_longer, kept_longer, kept_shorter), np.where(query_longer, kept_shorter, kept_longer)


@dataclass(frozen=True)
class Documents:
    """Documents as windows: which those are, and how a document's score comes of theirs."""

    windows: Windows
    aggregation: Aggregation


@dataclass(frozen=True)
class PairTokens:
    """Queries and passages of a collection as one tokenizer sees them, ready to be paired.

    Where documents are ranked by their passages, these are windows, and `documents` tells whose.
    """

    queries: TokenStore
    passages: TokenStore
    template: PairTemplate
    max_length: int
    documents: "Documents | None" = None

    def lengths(self, queries: Integers, passages: Integers) -> Integers:
        """Return the tokens of each pair, special tokens included."""
        room = self.max_length - self.template.specials
        query, passage = cut_pair(self.queries.lengths[queries], self.passages.lengths[passages], room)
        return query + passage + self.template.specials

    def batch(
        self, queries: Integers, passages: Integers, pad_to: int | None = None
    ) -> dict[str, npt.NDArray[np.int64]]:
        """Return input_ids, attention_mask and, where the tokenizer has them, token_type_ids, each [pairs, length]."""
        template, room = self.template, self.max_length - self.template.specials
        query_cuts, passage_cuts = cut_pair(self.queries.lengths[queries], self.passages.lengths[passages], room)
        longest = int((query_cuts + passage_cuts).max()) + template.specials
        segments = _segments(template, query_cuts, passage_cuts, pad_to or longest)
        ids = np.full(segments.shape, template.pad, np.int64)
        ids[:, : len(template.prefix)] = template.prefix
        ids[segments == QUERY] = self.queries.first(queries, query_cuts)
        ids[segments == PASSAGE] = self.passages.first(passages, passage_cuts)
        middle = len(template.prefix) + query_cuts
        _put(ids, middle, template.middle)
        _put(ids, middle + len(template.middle) + passage_cuts, template.suffix)
        columns = {"input_ids": ids, "attention_mask": (segments < PADDING).astype(np.int64)}
        if template.types:
            columns["token_type_ids"] = np.array([*template.types, template.pad_type], np.int64)[segments]
        return columns


# The parts of a pair, in their order; PairTemplate.types has a type for each but the padding.
PREFIX, QUERY, MIDDLE, PASSAGE, SUFFIX, PADDING = range(6)


def _segments(template: PairTemplate, queries: Integers, passages: Integers, width: int) -> npt.NDArray[np.int8]:
    """Return which part each spot belongs to, [pairs, width]."""
    lengths = np.empty((len(queries), 6), np.int64)
    lengths[:, PREFIX], lengths[:, MIDDLE] = len(template.prefix), len(template.middle)
    lengths[:, QUERY], lengths[:, PASSAGE] = queries, passages
    lengths[:, SUFFIX] = len(template.suffix)
    lengths[:, PADDING] = width - queries - passages - template.specials
    parts = np.tile(np.arange(6, dtype=np.int8), len(queries))
    return np.repeat(parts, lengths.ravel()).reshape(len(queries), width)


def _put(ids: Integers, places: Integers, tokens: tuple[int, ...]) -> None:
    """Write the same tokens into every row, from a place of its own on."""
    np.put_along_axis(ids, places[:, None] + np.arange(len(tokens)), np.array(tokens, np.int64)[None], axis=1)
