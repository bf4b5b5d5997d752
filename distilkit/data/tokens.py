"""Texts tokenised once into memory-mapped arrays, and pairs put together from them as the tokenizer would."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distilkit.data.passages import Aggregation, Windows
from distilkit.data.texts import Texts
from distilkit.files import content_key

Integers = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.int32]
Progress = Callable[[int, int], None]

BATCH = 1000


@dataclass(frozen=True)
class TokenStore:
    """The tokens of every text of a table, without special tokens: one flat array and where each text starts.

    No text keeps more than `max_length` tokens, the most that a pair can use; `lengths` holds the lengths before that
    cut, by which the tokenizer decides which side of a pair is the longer one.
    """

    tokens: Tokens
    starts: Integers
    lengths: Integers

    @classmethod
    def open(cls, folder: Path) -> "TokenStore":
        """Map the arrays of a folder into memory."""
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("tokens", "starts", "lengths")))

    def __getitem__(self, index: int) -> Tokens:
        return self.tokens[self.starts[index] : self.starts[index + 1]]


def write_token_store(folder: Path, texts: Texts, tokenizer: Any, max_length: int, progress: Progress) -> None:
    """Tokenise a table of texts into a folder, a thousand at a time so that memory does not grow with the table."""
    starts, lengths = np.zeros(len(texts) + 1, np.int64), np.zeros(len(texts), np.int64)
    done = 0
    with (folder / "tokens.bin").open("wb") as file:
        for _, batch in texts.batches(BATCH):
            for ids in tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"]:
                kept = np.asarray(ids[:max_length], np.int32)
                file.write(kept.tobytes())
                lengths[done] = len(ids)
                starts[done + 1] = starts[done] + len(kept)
                done += 1
            progress(done, len(texts))
    flat = folder / "tokens.bin"
    # Mapped, so that saving copies from file to file (an empty file cannot be mapped).
    np.save(folder / "tokens.npy", np.memmap(flat, np.int32, "r") if flat.stat().st_size else np.zeros(0, np.int32))
    flat.unlink()
    np.save(folder / "starts.npy", starts)
    np.save(folder / "lengths.npy", lengths)


def tokenizer_identity(tokenizer: Any) -> str:
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
    def of(cls, tokenizer: Any) -> "PairTemplate":
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
        cuts = cut_pair(self.queries.lengths[queries], self.passages.lengths[passages], room)
        longest = int((cuts[0] + cuts[1]).max()) + template.specials
        shape = (len(queries), pad_to or longest)
        ids, mask = np.full(shape, template.pad, np.int64), np.zeros(shape, np.int64)
        types = np.full(shape, template.pad_type, np.int64)
        for row, (query, passage, query_cut, passage_cut) in enumerate(zip(queries, passages, *cuts, strict=True)):
            at = 0
            parts = (
                template.prefix,
                self.queries[query][:query_cut],
                template.middle,
                self.passages[passage][:passage_cut],
                template.suffix,
            )
            for number, part in enumerate(parts):
                ids[row, at : at + len(part)] = np.asarray(part)
                if template.types:
                    types[row, at : at + len(part)] = template.types[number]
                at += len(part)
            mask[row, :at] = 1
        columns = {"input_ids": ids, "attention_mask": mask}
        return {**columns, "token_type_ids": types} if template.types else columns
