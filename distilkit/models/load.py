"""Model folders: what one holds, and loading its tokenizer, its encoder, or the ranker of any architecture."""

import copy
import re
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    DistilBertTokenizerFast,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from distilkit.errors import UserError
from distilkit.files import read_json
from distilkit.models import STUDENTS, student_options
from distilkit.models.encoder import bare_encoder, require_encoder
from distilkit.models.options import Options
from distilkit.models.shape import set_dropout
from distilkit.models.silence import silent
from distilkit.models.weights import read_weights, weight_files, weight_shapes

if TYPE_CHECKING:
    from distilkit.models.ranker import Ranker

LOCAL = {"local_files_only": True, "trust_remote_code": False}
# What transformers raises for a folder that it cannot load.
LOADING_ERRORS = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
# What a saved ranker's config.json says about it to us.
ENTRY = "distilkit"
# The model types of the Margin-MSE paper's PreTTR, a DistilBERT whose tokenizer was not released with it.
PRETTR = ("PreTTR", "prettr")
PRETTR_BASE = "distilbert-base-uncased"
# What encoders are called where a ranker keeps them beside a head.
ENCODERS = ("bert_model.", "bert.", "distilbert.", "electra.", "roberta.", "albert.")
LAYER = re.compile(r"(?:^|\.)layers?\.\d+\.")
# Positions are counted, not learned, and old versions of transformers stored them.
UNREAD = ("position_ids", "token_type_ids")


class Checkpoint:
    """A model folder: its config.json, the names and shapes of its weights, and what sentence-transformers adds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def config(self) -> dict[str, Any]:
        """The table in config.json; raises UserError where there is none."""
        try:
            values = read_json(self.folder / "config.json")
        except (OSError, ValueError) as error:
            raise UserError(f"{self.folder / 'config.json'} cannot be read: {error}") from None
        if not isinstance(values, dict):
            raise UserError(f"{self.folder / 'config.json'} holds no table")
        return values

    @property
    def entry(self) -> dict[str, Any]:
        """What `save_ranker` wrote about the ranker: architecture, options, lengths; {} where it did not."""
        return cast(dict[str, Any], self.config.get(ENTRY) or {})

    @property
    def model_class(self) -> str:
        """The class that config.json names, '' for none."""
        return str((self.config.get("architectures") or [""])[0])

    @property
    def released_base(self) -> str | None:
        """The language model that a checkpoint of the Margin-MSE paper's was made from; None for any other folder."""
        try:
            default = PRETTR_BASE if self.config.get("model_type") in PRETTR else None
            return cast(str | None, self.config.get("bert_model", default))
        except UserError:
            return None

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the weights by name."""
        return weight_shapes(self.folder)

    def weights(self, dtype: torch.dtype = torch.float32, names: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return the weights by name, in a floating-point dtype: all, or those that are named."""
        weights: dict[str, Tensor] = {}
        for file in weight_files(self.folder):
            weights |= {name: weight.to(dtype) for name, weight in read_weights(file, names).items()}
        return weights

    def ranker_weights(self, heads: Collection[str], dtype: torch.dtype) -> dict[str, Tensor]:
        """Return the weights under the names of a ranker that keeps its encoder in `encoder` beside some heads.

        Encoders lie under `bert_model.` (ColBERT of the Margin-MSE paper), under their family's name (Stanford's
        ColBERT, PyLate) or bare (BERT_DOT, PreTTR); a linear map of states is `compressor`, `linear` or the Dense
        module of sentence-transformers.
        """
        found: dict[str, Tensor] = {}
        dense = {} if self._dense is None else Checkpoint(self._dense).weights(dtype)
        for name, weight in {**dense, **self.weights(dtype)}.items():
            head = re.sub(r"^linear\.", "compressor.", name)
            bare = name.removeprefix(next((prefix for prefix in ENCODERS if name.startswith(prefix)), ""))
            if head in heads or head.startswith("compressor."):
                found[head] = weight
            elif not (bare.startswith("pooler.") or bare == "embeddings.position_ids"):
                found[f"encoder.{bare}"] = weight
        return found

    @property
    def linear_size(self) -> int | None:
        """The size of the vectors that the linear map of states makes, None without one."""
        shapes = self.shapes if self._dense is None else {**Checkpoint(self._dense).shapes, **self.shapes}
        found = next((shapes[name] for name in ("compressor.weight", "linear.weight") if name in shapes), None)
        return None if found is None else found[0]

    @cached_property
    def _dense(self) -> Path | None:
        """The Dense module of sentence-transformers, of which a ranker's map of states is made where it has one."""
        folder = next(iter(sorted(self.folder.glob("*_Dense"))), None)
        if folder is not None and not str(read_json(folder / "config.json").get("activation_function")).endswith(
            "Identity"
        ):
            raise UserError(f"{folder} has an activation function: a ranker's map of its states is linear")
        return folder

    @cached_property
    def pooling(self) -> str | None:
        """What vectors a sentence-transformers folder makes: `cls`, another pooling, or `normalised` ones."""
        modules = self.folder / "modules.json"
        if not modules.is_file():
            return None
        types = {str(module["type"]).rsplit(".", 1)[-1]: self.folder / module["path"] for module in read_json(modules)}
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

    def encoder_config(self) -> PretrainedConfig:
        """Return the encoder's configuration as transformers reads it; raises UserError where it cannot."""
        try:
            with silent():
                return cast(PretrainedConfig, AutoConfig.from_pretrained(self.folder, **LOCAL))
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{self.folder / 'config.json'}: {first_line(error)}") from None


def architecture_of(folder: Path) -> str | None:
    """Return the architecture of the ranker in a folder; None for a bare encoder, which may become any."""
    checkpoint = Checkpoint(folder)
    if ENTRY in checkpoint.config:
        return STUDENTS.resolve(str(checkpoint.entry.get("architecture")))
    return next((name for name in STUDENTS if STUDENTS[name].ranker().recognises(checkpoint)), None)


def saved_lengths(folder: Path) -> dict[str, int]:
    """Return the lengths in tokens that the ranker in a folder was saved or published with, by the keys of `[data]`."""
    checkpoint, name = Checkpoint(folder), architecture_of(folder)
    return {} if name is None else STUDENTS[name].ranker().published_lengths(checkpoint)


def load_ranker(
    folder: Path,
    architecture: str | None = None,
    *,
    options: Options | None = None,
    dropout: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> "Ranker":
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
    checkpoint = Checkpoint(folder)
    if options is None and ENTRY in checkpoint.config:
        options = student_options(name, checkpoint.entry.get("options"))
    STUDENTS[name].require_options(options)
    return STUDENTS[name].ranker().load(checkpoint, options, dropout, dtype).eval()


def load_encoder(folder: Path, dropout: float | None = None) -> PreTrainedModel:
    """Load the encoder of any model folder, without its head, to start a ranker from."""
    name = architecture_of(folder)
    if name is not None and STUDENTS[name].ranker().holds_encoder(Checkpoint(folder)):
        return load_ranker(folder, dropout=dropout).encoder
    try:
        with silent():
            config = AutoConfig.from_pretrained(folder, **LOCAL)
            set_dropout(config, dropout)
            encoder, report = from_folder(AutoModel, folder, config, torch.float32)
    except (*LOADING_ERRORS, UserError) as error:
        raise UserError(f"{folder} cannot be loaded as an encoder: {first_line(error)}") from error
    require_whole(folder, report, "")
    require_known(folder, report)
    encoder = bare_encoder(encoder)
    require_encoder(encoder, folder)
    return encoder


def from_folder(
    kind: Any, folder: Path, config: PretrainedConfig, dtype: torch.dtype, **options: Any
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Return a model that transformers builds of a folder's weights, and its report on their names.

    Args:
        kind: an auto class of transformers
        folder: a model folder
        config: the model's configuration
        dtype: the dtype of the weights
        options: more that `from_pretrained` takes
    """
    source: dict[str, Any] = {"pretrained_model_name_or_path": folder, "use_safetensors": True}
    if any(file.suffix == ".bin" for file in weight_files(folder)):
        with torch.device("meta"):
            # Auto classes take no weights without a folder.
            kind = type(kind.from_config(copy.deepcopy(config)))
        source = {"pretrained_model_name_or_path": None, "state_dict": Checkpoint(folder).weights(dtype)}
    model, report = kind.from_pretrained(
        **source, config=config, dtype=dtype, output_loading_info=True, **LOCAL, **options
    )
    return model, report


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a model folder; raises UserError where there is none, or one without a padding token."""
    try:
        with silent():
            tokenizer = _tokenizer(folder, Checkpoint(folder).released_base)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder} holds no tokenizer that can be loaded: {first_line(error)}") from error
    if tokenizer.pad_token_id is None:
        raise UserError(f"{folder} holds a tokenizer without a padding token, which batches of unequal texts need")
    return tokenizer


def _tokenizer(folder: Path, base: str | None) -> PreTrainedTokenizerFast:
    """Return a folder's tokenizer; `base` is the language model that a released checkpoint was made from."""
    if base is None:
        return AutoTokenizer.from_pretrained(folder, **LOCAL)
    if any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        # The folder's own configuration names no family that transformers knows.
        return DistilBertTokenizerFast.from_pretrained(folder, local_files_only=True)
    return AutoTokenizer.from_pretrained(base, trust_remote_code=False)


def require_fit(tokenizer: PreTrainedTokenizerFast, config: PretrainedConfig, folder: Path) -> None:
    """Raise UserError for a tokenizer that makes token ids which the model has no embeddings for."""
    # Words that were added and are not special may never come up.
    largest = max(
        [*tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False).values(), *tokenizer.all_special_ids]
    )
    if largest >= config.vocab_size:
        raise UserError(
            f"{folder}: its tokenizer and its model are of different vocabularies: a token has the number {largest}, "
            f"and the model has embeddings of {config.vocab_size}"
        )


def load_weights(ranker: nn.Module, weights: Mapping[str, Tensor], where: object) -> None:
    """Give a ranker its weights; raises UserError that names the first one missing, unexpected or of another shape."""
    expected = {name: tensor.shape for name, tensor in ranker.state_dict().items()}
    missing, unexpected = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    for names, what in ((missing, "missing"), (unexpected, "unexpected")):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise UserError(f"{where}: the weight {min(names).removeprefix('encoder.')} is {what}{more}")
    for name, shape in expected.items():
        if weights[name].shape != shape:
            found, short = list(weights[name].shape), name.removeprefix("encoder.")
            raise UserError(f"{where}: the weight {short} has the shape {found}, not {list(shape)}")
    ranker.load_state_dict(dict(weights))


def require_whole(folder: Path, report: dict[str, Any], encoder: str) -> None:
    """Raise UserError if loading drew a weight of the encoder at random, the pooler apart, which serves a head.

    `encoder` is what the names of its weights begin with.
    """
    absent = [name for name in drawn_weights(report) if name.startswith(encoder) and ".pooler" not in f".{name}"]
    if absent:
        raise UserError(f"{folder} does not hold the weights that its config.json describes: {absent[0]} is missing")


def require_known(folder: Path, report: dict[str, Any], known: tuple[str, ...] = ()) -> None:
    """Raise UserError if a folder holds weights of layers, or under one of some prefixes, that the model has not."""
    strange = sorted(
        name
        for name in report["unexpected_keys"]
        if (LAYER.search(name) or name.startswith(known)) and not (name.endswith(UNREAD) or ".pooler." in f".{name}")
    )
    if strange:
        more = f" (and {len(strange) - 1} more)" if len(strange) > 1 else ""
        raise UserError(f"{folder}: the weight {strange[0]} is unexpected{more}: its config.json describes no such one")


def drawn_weights(report: dict[str, Any]) -> list[str]:
    """Return the names of the weights that loading drew at random, absent or of another size."""
    mismatched = [entry[0] if isinstance(entry, tuple) else entry for entry in report["mismatched_keys"]]
    return sorted([*report["missing_keys"], *mismatched])


def first_line(error: Exception) -> str:
    """Return an error's first line, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
