"""Sequences of plain text as a trainer reads them, in the place of pairs, and the masking of their tokens."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers
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
    """The sequences of a store in the place of `PairTokens`: passages are sequences, queries are not looked at."""

    texts: TokenStore
    template: Template
    max_length: int
    masking: Masking | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        tokenizer: "PreTrainedTokenizerFast",
        max_length: int,
        masking: MaskingKind = "none",
        seed: int = 0,
    ) -> "TextTokens":
        """Map what `write_sequences` left in a folder; raises UserError to mask for a tokenizer without a mask."""
        template = Template.of(tokenizer, texts=1)
        return cls(TokenStore.open(folder), template, max_length, Masking.of(tokenizer, masking, seed))

    def __len__(self) -> int:
        return len(self.texts.lengths)

    def lengths(self, queries: Integers, passages: Integers) -> Integers:
        """Return the tokens of each sequence, special tokens included."""
        room = self.max_length - self.template.specials
        return np.minimum(self.texts.lengths[passages], room) + self.template.specials

    def batch(
        self, queries: Integers, passages: Integers, pad_to: int | None = None
    ) -> dict[str, npt.NDArray[np.int64]]:
        """Return input_ids, attention_mask and, where the tokenizer has them, token_type_ids, each [texts, length].

        With masking there is also `chosen`, 1 for the tokens that are to be predicted and 0 for all others; which
        those are depends on the seed and the sequence's index alone.
        """
        counts = self.lengths(queries, passages) - self.template.specials
        tokens = self.texts.first(passages, counts)
        if self.masking is None:
            return self.template.lay_out([tokens], [counts], pad_to)[0]
        sequences = np.split(tokens, np.cumsum(counts)[:-1])
        masked, chosen = zip(*map(self.masking, sequences, passages.tolist()), strict=True)
        columns, segments = self.template.lay_out([np.concatenate(masked)], [counts], pad_to)
        columns["chosen"] = np.zeros_like(columns["input_ids"])
        columns["chosen"][segments == 1] = np.concatenate(chosen)
        return columns

    def chosen_counts(self, passages: Integers) -> Integers:
        """Return how many tokens of each sequence are to be predicted."""
        if self.masking is None:
            return np.zeros_like(passages)
        return self.masking.counts(self.lengths(passages, passages) - self.template.specials)
