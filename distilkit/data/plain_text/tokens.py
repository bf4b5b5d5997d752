"""Sequences of plain text as a trainer reads them, in the place of queries and passages, and their masked tokens."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers, mapped
from distilkit.data.plain_text.packing import DOCUMENTS
from distilkit.data.plain_text.pairs import TextPairs
from distilkit.data.tokens import Template, Tokens, TokenStore
from distilkit.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MaskingKind = Literal["none", "one", "bert"]

# Keeps these draws apart from those that other parts of a run make with the same seed.
STREAM = 11
SHARE = 0.15


@dataclass(frozen=True)
class Masking:
    """Chooses tokens of a sequence; of the chosen 80 % become the mask, 10 % a random token, 10 % stay.

    `one` chooses one token, as the released code of TinyBERT does whatever it is told; `bert` 15 % of them, at least
    one (Devlin et al. 2019). `replacements` are the ids of the tokens that are not special.
    """

    kind: MaskingKind
    seed: int
    mask: int
    replacements: Integers

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerFast", kind: MaskingKind, seed: int) -> "Masking | None":
        """Return the masking for a tokenizer, None for `none`; raises UserError if the tokenizer has no mask."""
        if kind == "none":
            return None
        if tokenizer.mask_token_id is None:
            raise UserError(f"masking = {kind!r}: the tokenizer has no mask token; expected masking = 'none'")
        ids = set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids)
        return cls(kind, seed, tokenizer.mask_token_id, np.array(sorted(ids), np.int64))

    def __call__(self, tokens: Tokens, index: int) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """Return a sequence's tokens after masking and which were chosen, as the seed and its index alone say."""
        rng = np.random.default_rng([self.seed, STREAM, index])
        places = rng.choice(len(tokens), int(self.counts(np.array([len(tokens)]))[0]), replace=False)
        fate, random = rng.random(len(places)), rng.choice(self.replacements, len(places))
        masked, chosen = tokens.astype(np.int64), np.zeros(len(tokens), np.bool_)
        masked[places] = np.where(fate < 0.8, self.mask, np.where(fate < 0.9, random, masked[places]))
        chosen[places] = True
        return masked, chosen

    def counts(self, lengths: Integers) -> Integers:
        """Return how many tokens are chosen in sequences of these lengths, special tokens not counted."""
        share = 1 if self.kind == "one" else np.maximum(1, np.round(SHARE * lengths))
        return np.minimum(share, lengths).astype(np.int64)


@dataclass(frozen=True)
class TextTokens:
    """The sequences of a store in the place of `PairTokens`: passages are sequences, queries are not looked at.

    With `pairs` each sequence is read as the pair of texts that was drawn for it.
    """

    texts: TokenStore
    template: Template
    max_length: int
    masking: Masking | None = None
    pairs: TextPairs | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        tokenizer: "PreTrainedTokenizerFast",
        max_length: int,
        masking: MaskingKind = "none",
        seed: int = 0,
        pairs: bool = False,
    ) -> "TextTokens":
        """Map what `write_sequences` left in a folder; raises UserError to mask for a tokenizer without a mask."""
        documents = mapped(folder / DOCUMENTS) if pairs else None
        return cls.of(TokenStore.open(folder), tokenizer, max_length, masking, seed, documents)

    @classmethod
    def of(
        cls,
        texts: TokenStore,
        tokenizer: "PreTrainedTokenizerFast",
        max_length: int,
        masking: MaskingKind,
        seed: int,
        documents: Integers | None = None,
    ) -> "TextTokens":
        """Take the sequences of a store; where the numbers of their documents are given, [n], they become pairs."""
        template = Template.of(tokenizer, texts=1 if documents is None else 2)
        pairs = None
        if documents is not None:
            pairs = TextPairs.draw(np.minimum(texts.lengths, max_length - template.specials), documents, seed)
        return cls(texts, template, max_length, Masking.of(tokenizer, masking, seed), pairs)

    def __len__(self) -> int:
        return len(self.texts.lengths)

    @property
    def continues(self) -> Integers:
        """1 for pairs whose second text continues the first and 0 for all else, [n]: what `next_text` predicts."""
        return np.zeros(len(self), np.int64) if self.pairs is None else self.pairs.continues

    def lengths(self, queries: Integers, passages: Integers) -> Integers:
        """Return the tokens of each sequence, special tokens included."""
        counts: Integers = np.stack(self._counts(passages)).sum(axis=0)
        return counts + self.template.specials

    def _counts(self, passages: Integers) -> list[Integers]:
        """Return how many tokens the one text, or both texts, of each sequence have."""
        if self.pairs is None:
            return [np.minimum(self.texts.lengths[passages], self.max_length - self.template.specials)]
        return [self.pairs.first[passages].astype(np.int64), self.pairs.second[passages].astype(np.int64)]

    def _tokens(self, passages: Integers, counts: list[Integers]) -> list[Tokens]:
        """Return the tokens of the first texts, one after the other, and of the second ones."""
        found = [self.texts.first(passages, counts[0])]
        if self.pairs is not None:
            found.append(self.texts.pieces(self.pairs.owners[passages], self.pairs.starts[passages], counts[1]))
        return found

    def batch(
        self, queries: Integers, passages: Integers, pad_to: int | None = None
    ) -> dict[str, npt.NDArray[np.int64]]:
        """Return input_ids, attention_mask and, where the tokenizer has them, token_type_ids, each [texts, length].

        With masking there is also `chosen`, 1 for the tokens that are to be predicted and 0 for all others; which
        those are depends on the seed and the sequence's index alone.
        """
        counts = self._counts(passages)
        columns, segments = self.template.lay_out(self._tokens(passages, counts), counts, pad_to)
        if self.masking is None:
            return columns
        # Texts are the odd parts, but for padding; row by row these are the tokens of both texts of a pair.
        words = (segments % 2 == 1) & (columns["attention_mask"] == 1)
        sequences = np.split(columns["input_ids"][words], np.cumsum(np.stack(counts).sum(axis=0))[:-1])
        masked, chosen = zip(*map(self.masking, sequences, passages.tolist()), strict=True)
        columns["input_ids"][words] = np.concatenate(masked)
        columns["chosen"] = np.zeros_like(columns["input_ids"])
        columns["chosen"][words] = np.concatenate(chosen)
        return columns

    def chosen_counts(self, passages: Integers) -> Integers:
        """Return how many tokens of each sequence are to be predicted."""
        if self.masking is None:
            return np.zeros_like(passages)
        return self.masking.counts(self.lengths(passages, passages) - self.template.specials)
