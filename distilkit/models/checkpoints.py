"""Loading any of the rankers from a folder, ours or published: built from its configuration, then given its weights."""

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from distilkit.errors import UserError
from distilkit.files import read_json
from distilkit.models import STUDENTS, student_options
from distilkit.models.encoder import encoder_of
from distilkit.models.export import ENTRY
from distilkit.models.families import require_encoder
from distilkit.models.internals import use_our_attention
from distilkit.models.load import LOCAL, drawn_weights, load_cat, require_known
from distilkit.models.options import ColBertOptions, DotOptions, Options, TkOptions
from distilkit.models.published import base_config, is_published_cat, published_architecture, published_options
from distilkit.models.ranker import Ranker, SideRanker
from distilkit.models.shape import set_dropout
from distilkit.models.silence import silent
from distilkit.models.tk import Tk
from distilkit.models.weights import load_weights, ranker_name, read_weights, weight_names


def ranker_entry(folder: Path) -> dict[str, Any]:
    """Return what `save_ranker` wrote about a folder's ranker: architecture, options, lengths; {} where it did not."""
    values = _config_values(folder)
    return cast(dict[str, Any], values.get(ENTRY) or {})


def architecture_of(folder: Path) -> str | None:
    """Return the architecture of the ranker in a folder; None for a bare encoder, which may become any."""
    values = _config_values(folder)
    if ENTRY in values:
        return STUDENTS.resolve(str(values[ENTRY].get("architecture")))
    published = published_architecture(weight_names(folder))
    if published is not None:
        return published
    classes = values.get("architectures") or [""]
    if classes[0] == "HF_ColBERT":
        return "colbert"
    if classes[0].endswith("ForSequenceClassification"):
        return "bert_cat"
    return "bert_dot" if _pooling(folder) == "cls" else None


def load_ranker(
    folder: Path,
    architecture: str | None = None,
    *,
    options: Options | None = None,
    dropout: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> Ranker:
    """Load a trained ranker, in evaluation mode; nothing of it is drawn at random.

    Args:
        folder: a model folder, see `references.local_folder`
        architecture: which ranker it is; by default what the folder says, and a bare encoder must be told
        options: the architecture's options; by default those it was saved or published with
        dropout: sets every dropout probability of the model; by default they stay as configured
        dtype: the dtype of the weights

    Raises UserError where a weight is missing, unexpected or of another shape.
    """
    found = architecture_of(folder)
    name = found if architecture is None else STUDENTS.resolve(architecture)
    if name is None:
        raise UserError(f"{folder} does not say which ranker it is: give its architecture, {', '.join(STUDENTS)}")
    if found is not None and found != name:
        raise UserError(f"{folder} holds a {found}, not a {name}")
    if name == "bert_cat":
        return load_cat(folder, dropout=dropout, dtype=dtype, require_head=True)
    if options is not None and not isinstance(options, STUDENTS[name].options):
        raise UserError(f"{name} has no {type(options).__name__}")
    if name == "tk":
        return _tk(folder, options, dropout, dtype).eval()
    return _around_encoder(folder, name, options, dropout, dtype).eval()


def load_encoder(folder: Path, dropout: float | None = None) -> PreTrainedModel:
    """Load the encoder of any model folder, without its head, to start a ranker from."""
    if architecture_of(folder) in ("bert_dot", "colbert", "prettr"):
        return cast(PreTrainedModel, cast(SideRanker, load_ranker(folder, dropout=dropout)).encoder)
    if is_published_cat(folder):
        return load_cat(folder, dropout=dropout).encoder
    try:
        with silent():
            config = AutoConfig.from_pretrained(folder, **LOCAL)
            set_dropout(config, dropout)
            encoder, report = AutoModel.from_pretrained(
                folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **LOCAL
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{folder} cannot be loaded as an encoder: {str(error).strip().splitlines()[0]}") from error
    absent = [name for name in drawn_weights(report) if not name.startswith("pooler.")]
    if absent:
        raise UserError(f"{folder} does not hold the weights that its config.json describes: {absent[0]} is missing")
    require_known(folder, report)
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    use_our_attention(encoder)
    require_encoder(encoder, folder)
    return cast(PreTrainedModel, encoder)


def _around_encoder(folder: Path, name: str, options: Any, dropout: float | None, dtype: torch.dtype) -> SideRanker:
    values = _config_values(folder)
    weights = _ranker_weights(folder, dtype)
    options = options or _saved_options(folder, name, values, weights)
    config = _encoder_config(folder, values, weights)
    set_dropout(config, dropout)
    ranker = cast(SideRanker, STUDENTS[name].ranker()(encoder_of(config), options))
    load_weights(ranker.to(dtype), weights, folder)
    require_encoder(ranker.encoder.eval(), folder)
    return ranker


def _tk(folder: Path, options: Any, dropout: float | None, dtype: torch.dtype) -> Tk:
    values = _config_values(folder)
    missing = [name for name in (ENTRY, "vocab_size", "embedding_size") if name not in values]
    if missing:
        raise UserError(f"{folder / 'config.json'} is not that of a tk: it has no {missing[0]}")
    options = options or cast(TkOptions, student_options("tk", values[ENTRY].get("options")))
    table = torch.zeros(values["vocab_size"], values["embedding_size"])
    ranker = Tk(table, options, values.get("dropout", 0.0) if dropout is None else dropout, values.get("pad_token_id"))
    load_weights(ranker.to(dtype), read_weights(folder, dtype), folder)
    return ranker


def _ranker_weights(folder: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return a folder's weights under our names, the linear map of a sentence-transformers model among them."""
    named = {ranker_name(name): weight for name, weight in read_weights(folder, dtype).items()}
    weights = {name: weight for name, weight in named.items() if name is not None}
    if not any(name.startswith("compressor.") for name in weights):
        for dense in sorted(folder.glob("*_Dense")):
            if not str(read_json(dense / "config.json").get("activation_function")).endswith("Identity"):
                raise UserError(f"{dense} has an activation function: a ranker's map of its states is linear")
            weights |= {
                name.replace("linear.", "compressor."): weight for name, weight in read_weights(dense, dtype).items()
            }
    return weights


def _saved_options(folder: Path, name: str, values: dict[str, Any], weights: dict[str, Tensor]) -> Options:
    if ENTRY in values:
        return student_options(name, values[ENTRY].get("options"))
    if name == "bert_dot":
        if _pooling(folder) not in (None, "cls"):
            raise UserError(f"{folder} has {_pooling(folder)} vectors: a bert_dot's are the first states as they are")
        compressor = weights.get("compressor.weight")
        return DotOptions(None if compressor is None else len(compressor))
    if name == "colbert" and "HF_ColBERT" in (values.get("architectures") or ()):
        return ColBertOptions(form="stanford", dim=len(weights["compressor.weight"]))
    if name in ("colbert", "prettr") and published_architecture(weight_names(folder)) == name:
        return cast(Options, published_options(name, weights))
    raise UserError(f"{folder} is an encoder without the weights of a {name}")


def _encoder_config(folder: Path, values: dict[str, Any], weights: dict[str, Tensor]) -> PretrainedConfig:
    if "bert_model" in values or values.get("model_type") in (None, "PreTTR", "prettr"):
        return base_config(values, {name.removeprefix("encoder."): weight for name, weight in weights.items()}, folder)
    try:
        with silent():
            return cast(PretrainedConfig, AutoConfig.from_pretrained(folder, **LOCAL))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder / 'config.json'}: {str(error).strip().splitlines()[0]}") from None


def _pooling(folder: Path) -> str | None:
    """Return what vectors a sentence-transformers folder makes: `cls`, another pooling, or `normalised` ones."""
    modules = folder / "modules.json"
    if not modules.is_file():
        return None
    types = {str(module["type"]).rsplit(".", 1)[-1]: folder / module["path"] for module in read_json(modules)}
    if "Normalize" in types:
        return "normalised"
    if "Pooling" not in types:
        return None
    values = read_json(types["Pooling"] / "config.json")
    modes = [
        name.removeprefix("pooling_mode_") for name, on in values.items() if name.startswith("pooling_mode_") and on
    ]
    mode = values.get("pooling_mode") or (modes[0] if len(modes) == 1 else "several")
    return {"cls_token": "cls", "mean_tokens": "mean"}.get(mode, str(mode))


def _config_values(folder: Path) -> dict[str, Any]:
    try:
        values = read_json(folder / "config.json")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'config.json'} cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{folder / 'config.json'} holds no table")
    return values
