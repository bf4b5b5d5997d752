"""The choice of tokens that a masked language model is to predict, and what they are replaced by."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from distilkit.data.tokens import Integers, Tokens
from distilkit.errors import UserError

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
    def of(cls, tokenizer: Any, kind: MaskingKind, seed: int) -> "Masking | None":
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
