"""Which encoders a ranker can be built around: those of families that tests do not cover are tried on short texts."""

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from distilkit.errors import UserError
from distilkit.models.batch import TokenBatch
from distilkit.models.encoder import last_states

# Tests hold their scores against transformers' own; others are tried when they are loaded.
TESTED = frozenset(
    {"albert", "bert", "camembert", "distilbert", "electra", "mobilebert", "modernbert", "roberta", "xlm-roberta"}
)
SHORT, LONG = 3, 6
# Of the largest value, with 24 bits and with fewer.
NOISE = {torch.float32: 1e-4, torch.float64: 1e-4}
COARSE_NOISE = 5e-2


def require_encoder(encoder: PreTrainedModel, where: object) -> None:
    """Raise UserError for an encoder whose first state does not read the whole text, or reads its padding."""
    _require(lambda batch: last_states(encoder, batch), encoder.config, where)


def require_classifier(logits: Callable[[TokenBatch], Tensor], config: PretrainedConfig, where: object) -> None:
    """Raise UserError for a sequence classifier whose logits do not depend on the whole text, or on its padding."""
    _require(logits, config, where)


def _require(read: Callable[[TokenBatch], Tensor], config: PretrainedConfig, where: object) -> None:
    if config.model_type in TESTED:
        return
    refused = f"{where} is a {config.model_type}, which cannot be made a ranker"
    short, long = (torch.arange(5, 5 + length) % config.vocab_size for length in (SHORT, LONG))
    other = torch.cat([short[:-1], long[-1:]])
    try:
        with torch.no_grad():
            alone, changed = (read(_batch([ids], config)) for ids in (short, other))
            padded = read(_batch([short, long], config))
    except Exception as error:  # the code of any architecture there is
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{refused}: it does not read tokens with a mask ({reason})") from error
    found = padded[:1, :SHORT] if padded.dim() == 3 else padded[:1]
    noise = NOISE.get(alone.dtype, COARSE_NOISE) * float(alone.abs().max())
    if float((found - alone).abs().max()) > noise:
        raise UserError(f"{refused}: the padding of a batch changes what it makes of a text")
    first = (one[:, 0] if one.dim() == 3 else one for one in (alone, changed))
    if torch.equal(*first):
        raise UserError(f"{refused}: its first state does not see the words after it; an encoder is needed")


def _batch(texts: list[Tensor], config: PretrainedConfig) -> TokenBatch:
    lengths = torch.tensor([len(text) for text in texts])
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    ids = torch.full(mask.shape, getattr(config, "pad_token_id", None) or 0)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
    return TokenBatch(ids, mask, torch.zeros_like(ids))
