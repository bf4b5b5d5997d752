"""Sequences of plain text as a trainer reads them, in the place of pairs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distilkit.data.plain_text.masking import Masking, MaskingKind
from distilkit.data.tokens import Integers, TokenStore


@dataclass(frozen=True)
class TextTemplate:
    """The special tokens around a text, read off the tokenizer: [CLS] text [SEP] for BERT."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    types: tuple[int, int, int] | None
    pad: int
    pad_type: int

    @classmethod
    def of(cls, tokenizer: Any) -> "TextTemplate":
        """Encode a text of one letter and see what the tokenizer puts around it."""
        encoded = tokenizer("a", return_token_type_ids=True)
        ids, sides, types = encoded["input_ids"], encoded.sequence_ids(), encoded["token_type_ids"]
        first, end = sides.index(0), len(sides) - sides[::-1].index(0)
        used = "token_type_ids" in tokenizer.model_input_names
        return cls(
            prefix=tuple(ids[:first]),
            suffix=tuple(ids[end:]),
            types=(types[0], types[first], types[-1]) if used else None,
            pad=tokenizer.pad_token_id,
            pad_type=tokenizer.pad_token_type_id,
        )

    @property
    def specials(self) -> int:
        """How many special tokens a text has."""
        return len(self.prefix) + len(self.suffix)


@dataclass(frozen=True)
class TextTokens:
    """The sequences of a store in the place of `PairTokens`: passages are sequences, queries are not looked at."""

    texts: TokenStore
    template: TextTemplate
    max_length: int
    masking: Masking | None = None

    @classmethod
    def open(
        cls, folder: Path, tokenizer: Any, max_length: int, masking: MaskingKind = "none", seed: int = 0
    ) -> "TextTokens":
        """Map what `write_sequences` left in a folder; raises UserError to mask for a tokenizer without a mask."""
        template = TextTemplate.of(tokenizer)
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
        template, lengths = self.template, self.lengths(queries, passages)
        shape, before = (len(passages), pad_to or int(lengths.max())), len(template.prefix)
        ids, mask, chosen = np.full(shape, template.pad, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        types = np.full(shape, template.pad_type, np.int64)
        for row, (index, length) in enumerate(zip(passages, lengths, strict=True)):
            end = int(length) - len(template.suffix)
            tokens = self.texts[index][: end - before]
            ids[row, : int(length)] = np.concatenate([template.prefix, tokens, template.suffix])
            if self.masking is not None:
                ids[row, before:end], chosen[row, before:end] = self.masking(tokens, int(index))
            if template.types:
                types[row, :length] = np.repeat(template.types, [before, end - before, len(template.suffix)])
            mask[row, :length] = 1
        columns = {"input_ids": ids, "attention_mask": mask}
        if template.types:
            columns["token_type_ids"] = types
        return columns if self.masking is None else {**columns, "chosen": chosen}

    def chosen_counts(self, passages: Integers) -> Integers:
        """Return how many tokens of each sequence are to be predicted."""
        if self.masking is None:
            return np.zeros_like(passages)
        return self.masking.counts(self.lengths(passages, passages) - self.template.specials)
