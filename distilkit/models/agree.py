"""Whether a model scores here as it does in transformers: tried on a few texts when it is loaded."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from distilkit.errors import UserError, first_line
from distilkit.files import content_key
from distilkit.models.attention import use_our_attention
from distilkit.models.batch import TokenBatch, on_device
from distilkit.models.encoder import encoder_inputs, first_states, last_states, position_room
from distilkit.models.silence import silent

# Tokens of the short texts, which are padded together; the long one is as long as positions allow, up to so many.
SHORT, LIMIT = (5, 8, 11), 512
# A long text costs no more multiply-accumulates than this, a second on one core, or than the short ones do. A large
# model reads it in its first layers alone: what depends on the length (positions, windows, masks) is in all of them.
MOST_MACS = 2e10
# Of the largest value, with 24 bits and with fewer.
NOISE = {torch.float32: 1e-4, torch.float64: 1e-4}
COARSE_NOISE = 5e-2

# What a configuration tells of the file's origin and of what is made of the model's states.
NOTES = {"architectures", "distilkit", "sentence_transformers", "transformers_version"}

# A model is tried once a process: of one configuration all do the same.
_tried: set[str] = set()

Read = Callable[[TokenBatch], Tensor]


def require_encoder(encoder: PreTrainedModel, where: object) -> None:
    """Raise UserError for an encoder whose states are not those that it makes of each text in transformers."""

    def ours(batch: TokenBatch) -> Tensor:
        return torch.cat([first_states(encoder, batch)[:, None], last_states(encoder, batch)], dim=1)

    def theirs(batch: TokenBatch) -> Tensor:
        states: Tensor = encoder(**encoder_inputs(encoder, batch)).last_hidden_state
        return torch.cat([states[:, :1], states], dim=1)

    require_alike(encoder, ours, theirs, where)


def require_alike(model: PreTrainedModel, ours: Read, theirs: Read, where: object) -> None:
    """Raise UserError where what is computed here of padded texts is not what transformers makes of each text alone.

    Args:
        model: a model that runs on our attention
        ours: returns values `[B, ...]` of a padded batch, or states `[B, 1 + L, H]`
        theirs: returns the same of a batch of one text, while the model runs on its own attention
        where: the model, for the message
    """
    key = content_key([type(model).__name__, str(model.dtype), _computed_by(model.config)])
    if key in _tried:
        return
    config, refused = model.config, f"{where} is a {model.config.model_type}, which cannot be made a ranker"
    length, layers = _limit(model)
    short, long = _texts(config, SHORT), _texts(config, [length])
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            found = _rows(ours(_batch(short, config)), short)
            with _first_layers(model, layers):
                found += _rows(ours(_batch(long, config)), long)
            with silent():
                model.set_attn_implementation("eager")
            expected = [row for text in short for row in _rows(theirs(_batch([text], config)), [text])]
            with _first_layers(model, layers):
                expected += _rows(theirs(_batch(long, config)), long)
    except UserError:
        raise
    except Exception as error:  # the code of any architecture there is
        raise UserError(f"{refused}: it does not read tokens with a mask ({first_line(error)})") from error
    finally:
        use_our_attention(model)
        model.train(training)
    if not all(bool(one.isfinite().all()) for one in expected):
        raise UserError(f"{refused}: what it makes of a text are not finite numbers; its weights may be damaged")
    noise = NOISE.get(expected[0].dtype, COARSE_NOISE) * max(float(one.abs().max()) for one in expected)
    gap = max(float((one - other).abs().max()) for one, other in zip(found, expected, strict=True))
    if not gap <= noise:
        raise UserError(
            f"{refused}: what it makes of texts that are padded differs by {gap:.2g} from what it makes of each in "
            "transformers"
        )
    _tried.add(key)


def _computed_by(config: PretrainedConfig) -> str:
    """Return a configuration less what changes no value here: notes, and dropout, which is off in a trial."""
    table = json.loads(config.to_json_string())
    return json.dumps({key: value for key, value in table.items() if key not in NOTES and "dropout" not in key})


def reads_ahead(encoder: PreTrainedModel) -> bool:
    """Tell whether the first state depends on the tokens after it, as an encoder's does and a decoder's does not."""
    config = encoder.config
    text = _texts(config, [SHORT[1]])[0]
    other = torch.cat([text[:1], text[1:].flip(0)])
    training = encoder.training
    encoder.eval()
    with torch.no_grad():
        states = [last_states(encoder, on_device(_batch([ids], config), encoder.device))[:, 0] for ids in (text, other)]
    encoder.train(training)
    return not torch.equal(*states)


def _limit(model: PreTrainedModel) -> tuple[int, int | None]:
    """Return the tokens of the long text, and how many of the first layers read it; None for all of them."""
    tables = {one.weight for one in model.modules() if isinstance(one, nn.Embedding)}
    weights = max(1, _size(model) - sum(one.numel() for one in tables))
    most, stack = min(LIMIT, position_room(model) or LIMIT), _stack(model)
    budget = max(MOST_MACS, sum(SHORT) * weights)
    if most * weights <= budget or stack is None:
        return int(max(SHORT[-1], min(most, budget / weights))), None
    layers = getattr(*stack)
    # As many as the cost allows, and at least one of each kind, such as those with a window.
    kinds = [*(getattr(model.config, "layer_types", None) or [""])]
    least, cost = 1 + max(kinds.index(kind) for kind in {*kinds}), max(1, _size(layers[0]))
    count = max(least, min(len(layers), int(budget / (most * cost))))
    return int(max(SHORT[-1], min(most, budget / (count * cost)))), count


def _size(module: nn.Module) -> int:
    return sum(one.numel() for one in module.parameters())


def _stack(model: PreTrainedModel) -> tuple[nn.Module, str] | None:
    """Return the module that holds a model's layers and the list's name; None where they are kept in another way."""
    count = getattr(model.config, "num_hidden_layers", None)
    if model.config.is_encoder_decoder:
        return None
    for module in model.base_model.modules():
        for name, child in module.named_children():
            # Funnel's list has a list in each place.
            if isinstance(child, nn.ModuleList) and len(child) == count and not isinstance(child[0], nn.ModuleList):
                return module, name
    return None


@contextmanager
def _first_layers(model: PreTrainedModel, count: int | None) -> Iterator[None]:
    """Leave a model its first layers alone inside the block."""
    if count is None or (stack := _stack(model)) is None:
        yield
        return
    layers = getattr(*stack)
    setattr(*stack, layers[:count])
    try:
        yield
    finally:
        setattr(*stack, layers)


def _texts(config: PretrainedConfig, lengths: Any) -> list[Tensor]:
    """Return token ids, none of them special; a model with a decoder needs an end of each text."""
    known: Any = config.to_dict()
    special = {value for name, value in known.items() if name.endswith("_token_id") and isinstance(value, int)}
    usual = [one for one in range(getattr(config, "vocab_size", 1000)) if one not in special]
    usual = (usual[5:] or usual)[:1000]
    texts = [torch.tensor([usual[(7 * at + at * at // 3) % len(usual)] for at in range(length)]) for length in lengths]
    if config.is_encoder_decoder and config.eos_token_id is not None:
        for text in texts:
            text[-1] = config.eos_token_id
    return texts


def _rows(values: Tensor, texts: list[Tensor]) -> list[Tensor]:
    """Return each text's values, without those of its padding."""
    if values.dim() < 3:
        return list(values)
    return [row[: 1 + len(text)] for row, text in zip(values, texts, strict=True)]


def _batch(texts: list[Tensor], config: PretrainedConfig) -> TokenBatch:
    lengths = torch.tensor([len(text) for text in texts])
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    ids = torch.full(mask.shape, getattr(config, "pad_token_id", None) or 0)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
    return TokenBatch(ids, mask, torch.zeros_like(ids))
