"""Texts tokenised once into memory-mapped arrays, and pairs put together from them as the tokenizer would."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Appended, ArrayFile, Integers, Progress, appended, mapped, ranges
from distilkit.data.passages import Aggregation, Windows
from distilkit.data.texts import Texts
from distilkit.files import content_key, read_json, sha256_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Tokens = npt.NDArray[np.integer]

BATCH = 1000
# What a tokenizer's files say that changes no token of a text.
UNREAD_OPTIONS = ("model_max_length", "name_or_path", "is_local", "local_files_only", "max_length")


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

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: "PreTrainedTokenizerFast", max_length: int) -> "TokenStore":
        """Tokenise texts in memory."""
        encoded = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"] if texts else []
        kept = [np.asarray(ids[:max_length], np.int32) for ids in encoded]
        starts = np.concatenate([[0], np.cumsum([len(ids) for ids in kept])]).astype(np.int64)
        lengths = np.array([len(ids) for ids in encoded], np.int64)
        return cls(np.concatenate([*kept, np.zeros(0, np.int32)]), starts, lengths)

    def __getitem__(self, index: int) -> Tokens:
        return self.tokens[self.starts[index] : self.starts[index + 1]]

    def first(self, rows: Integers, counts: Integers) -> Tokens:
        """Return the first tokens of some texts, so many of each, one text after the other."""
        return self.pieces(rows, 0, counts)

    def pieces(self, rows: npt.NDArray[np.integer], skipped: npt.NDArray[np.integer] | int, counts: Integers) -> Tokens:
        """Return so many tokens of each of some texts behind those that are skipped, one text after the other."""
        starts = self.starts[rows] + skipped
        if self.file is not None:
            return self.file.pieces(starts, counts)
        found: Tokens = self.tokens[ranges(starts, counts)]
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
    folder: Path,
    texts: Texts,
    tokenizer: "PreTrainedTokenizerFast",
    max_length: int,
    progress: Progress,
    around: tuple[str, str] = ("", ""),
) -> None:
    """Tokenise a table of texts into a folder, a thousand at a time so that memory does not grow with the table.

    `around` is written in front of every text and behind it.
    """
    with token_writer(folder, len(tokenizer)) as store:
        for _, batch in texts.batches(BATCH):
            written = [f"{around[0]}{text}{around[1]}" for text in batch] if any(around) else batch
            ids = tokenizer(written, add_special_tokens=False, verbose=False)["input_ids"]
            store.add([one[:max_length] for one in ids], [len(one) for one in ids])
            progress(store.lengths.count, len(texts))


def tokenizer_identity(tokenizer: "PreTrainedTokenizerFast") -> str:
    """Return the sha256 of what a tokenizer does to a text, whatever length it would cut or pad to."""
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        return _identity_of_files(tokenizer)
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = {name: value for name, value in backend.items() if name not in ("truncation", "padding")}
    return content_key({"backend": kept, "pad": tokenizer.pad_token_id, "inputs": list(tokenizer.model_input_names)})


def _identity_of_files(tokenizer: "PreTrainedTokenizerFast") -> str:
    """Return the sha256 of the files of a tokenizer that is written in Python, its lengths and paths apart."""
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        hashes = {path.name: sha256_file(path) for path in sorted(Path(folder).iterdir())}
        options = read_json(Path(folder) / "tokenizer_config.json")
    kept = {name: value for name, value in options.items() if name not in UNREAD_OPTIONS}
    return content_key({"files": {**hashes, "tokenizer_config.json": kept}, "kind": type(tokenizer).__name__})


@dataclass(frozen=True)
class Template:
    """The special tokens around the texts of an input: [CLS] query [SEP] passage [SEP] for pairs and BERT.

    Attributes:
        around: the tokens before the first text, between texts and after the last
        types: the token type of each part (tokens before the first text, first text ...), None where there are none
        pad: what an input is filled up with
        pad_type: its token type
        keeps_first: whether the second text alone is cut, as long as any of it is left
        first_keeps: whether the first text keeps an odd token where both are cut, as tokenizers in Python have it
    """

    around: tuple[tuple[int, ...], ...]
    types: tuple[int, ...] | None
    pad: int
    pad_type: int
    first_keeps: bool = False
    keeps_first: bool = False

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerFast", texts: int = 2) -> "Template":
        """Encode one or two texts of one letter and see what the tokenizer puts around them."""
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            return cls._of_python(tokenizer, texts)
        encoded = tokenizer(*"ab"[:texts], return_token_type_ids=True)
        ids, owners, types = encoded["input_ids"], encoded.sequence_ids(), encoded["token_type_ids"]
        starts = [owners.index(text) for text in range(texts)]
        ends = [len(ids) - owners[::-1].index(text) for text in range(texts)]
        spots = [0, *sorted([*starts, *ends[:-1]]), len(ids) - 1]
        return cls(
            around=tuple(tuple(ids[end:start]) for end, start in zip([0, *ends], [*starts, len(ids)], strict=True)),
            types=tuple(types[spot] for spot in spots) if "token_type_ids" in tokenizer.model_input_names else None,
            pad=tokenizer.pad_token_id,
            pad_type=tokenizer.pad_token_type_id,
        )

    @classmethod
    def _of_python(cls, tokenizer: "PreTrainedTokenizerFast", texts: int) -> "Template":
        """Return what a tokenizer without a Rust part puts around texts, each of a token that there is not."""
        marks = [[-1 - text] for text in range(texts)]
        ids = tokenizer.build_inputs_with_special_tokens(*marks)
        types = tokenizer.create_token_type_ids_from_sequences(*marks)
        spots = [ids.index(mark[0]) for mark in marks]
        ends = [0, *(spot + 1 for spot in spots)]
        places = [0, *sorted([*spots, *(spot + 1 for spot in spots[:-1])]), len(ids) - 1]
        return cls(
            around=tuple(tuple(ids[end:start]) for end, start in zip(ends, [*spots, len(ids)], strict=True)),
            types=tuple(types[spot] for spot in places) if "token_type_ids" in tokenizer.model_input_names else None,
            pad=tokenizer.pad_token_id,
            pad_type=tokenizer.pad_token_type_id,
            first_keeps=True,
        )

    @property
    def specials(self) -> int:
        """How many special tokens an input has."""
        return sum(map(len, self.around))

    def lay_out(
        self, texts: Sequence[Tokens], counts: Sequence[Integers], width: int | None = None
    ) -> tuple[dict[str, npt.NDArray[np.int64]], npt.NDArray[np.int8]]:
        """Return the columns of a batch and which part each spot belongs to, each ``[inputs, width]``.

        Parts are numbered from 0, so that text i is part 2 i + 1, and padding is the last one. The columns are
        input_ids, attention_mask and, where the tokenizer has them, token_type_ids.

        Args:
            texts: the first texts' tokens, one after the other, then the second texts'
            counts: how many tokens each of them has
            width: what is padded to; the longest input where absent
        """
        rows, parts = len(counts[0]), 2 * len(texts) + 2
        lengths = np.empty((rows, parts), np.int64)
        lengths[:, :-1:2] = [len(tokens) for tokens in self.around]
        lengths[:, 1:-1:2] = np.stack(counts, axis=1)
        ends = lengths[:, :-1].cumsum(axis=1)
        width = width or int(ends[:, -1].max())
        lengths[:, -1] = width - ends[:, -1]
        segments = np.repeat(np.tile(np.arange(parts, dtype=np.int8), rows), lengths.ravel()).reshape(rows, width)
        ids = np.full(segments.shape, self.pad, np.int64)
        for number, tokens in enumerate(self.around):
            spots = ends[:, [2 * number]] - np.arange(len(tokens), 0, -1)
            np.put_along_axis(ids, spots, np.array([tokens], np.int64), axis=1)
        for number, found in enumerate(texts):
            ids[segments == 2 * number + 1] = found
        columns = {"input_ids": ids, "attention_mask": (segments < parts - 1).astype(np.int64)}
        if self.types:
            columns["token_type_ids"] = np.array([*self.types, self.pad_type], np.int64)[segments]
        return columns, segments


def cut_pair(queries: Integers, passages: Integers, room: int, first_keeps: bool = False) -> tuple[Integers, Integers]:
    """Return how many tokens of each query and passage stay when `room` tokens are left for both.

    The rule is `longest_first` as Hugging Face's fast tokenizers compute it, and with `first_keeps` those in Python,
    which leave the query an odd token.
    """
    shorter, longer = np.minimum(queries, passages), np.maximum(queries, passages)
    kept_longer = np.minimum(longer, np.where(shorter > room, shorter, np.maximum(shorter, room - shorter)))
    halves = shorter + kept_longer > room
    kept_shorter = np.where(halves, room // 2, shorter)
    kept_longer = np.where(halves, room // 2 + room % 2, kept_longer)
    query_longer = (queries > passages) | (halves if first_keeps else False)
    return np.where(query_longer, kept_longer, kept_shorter), np.where(query_longer, kept_shorter, kept_longer)


class Cut(NamedTuple):
    """How many of some texts are longer than they are read."""

    texts: int
    total: int
    what: str
    length: int

    def __str__(self) -> str:
        return (
            f"{self.texts} of {self.total} {self.what} are longer than {self.length} tokens and are cut to that length"
        )


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
    template: Template
    max_length: int
    documents: Documents | None = None

    def lengths(self, queries: Integers, passages: Integers) -> Integers:
        """Return the tokens of each pair, special tokens included."""
        query, passage = self._cuts(queries, passages)
        return query + passage + self.template.specials

    def batch(
        self, queries: Integers, passages: Integers, pad_to: int | None = None
    ) -> dict[str, npt.NDArray[np.int64]]:
        """Return input_ids, attention_mask and, where the tokenizer has them, token_type_ids, each [pairs, length]."""
        counts = self._cuts(queries, passages)
        texts = [self.queries.first(queries, counts[0]), self.passages.first(passages, counts[1])]
        return self.template.lay_out(texts, counts, pad_to)[0]

    def cut(self, queries: Integers, passages: Integers) -> Cut:
        """Return how many of some pairs are cut."""
        whole = self.queries.lengths[queries] + self.passages.lengths[passages] + self.template.specials
        return Cut(int((whole > self.max_length).sum()), len(queries), "pairs", self.max_length)

    def _cuts(self, queries: Integers, passages: Integers) -> tuple[Integers, Integers]:
        room = self.max_length - self.template.specials
        if self.template.keeps_first:
            kept = np.minimum(self.queries.lengths[queries], room)
            return kept, np.minimum(self.passages.lengths[passages], room - kept)
        return cut_pair(self.queries.lengths[queries], self.passages.lengths[passages], room, self.template.first_keeps)
