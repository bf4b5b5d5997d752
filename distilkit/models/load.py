"""Model folders: what one holds, and loading its tokenizer, its encoder, or the ranker of any architecture."""

import copy
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

import torch
from safetensors import SafetensorError
from tokenizers.normalizers import Lowercase
from tokenizers.normalizers import Sequence as Normalizers
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoTokenizer,
    DistilBertTokenizerFast,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from distilkit.data.prefixes import Prefixes
from distilkit.errors import RunFailed, Stopped, UserError, first_line
from distilkit.models import STUDENTS, student_options
from distilkit.models.agree import require_encoder
from distilkit.models.checkpoint import ENDLESS, ENTRY, LOCAL, Checkpoint
from distilkit.models.encoder import bare_encoder, encoder_class
from distilkit.models.options import Options, options_of
from distilkit.models.shape import set_dropout
from distilkit.models.silence import silent
from distilkit.models.sound import require_sound
from distilkit.models.weights import ONNX, weight_files

if TYPE_CHECKING:
    from distilkit.models.ranker import Ranker

P = ParamSpec("P")
T = TypeVar("T")

# What transformers raises for a folder that it cannot load.
LOADING_ERRORS = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
LAYER = re.compile(r"(?:^|\.)layers?\.\d+\.")
DECODER = re.compile(r"(?:^|\.)decoder\.")
# Positions are counted, not learned, and old versions of transformers stored them.
UNREAD = ("position_ids", "token_type_ids")


def _of_folder(act: Callable[Concatenate[Path, P], T]) -> Callable[Concatenate[Path, P], T]:
    """Make a UserError of whatever a model folder makes a function raise: its files may hold anything at any place."""

    @wraps(act)
    def guarded(folder: Path, *arguments: P.args, **options: P.kwargs) -> T:
        try:
            return act(folder, *arguments, **options)
        except (UserError, RunFailed, Stopped, MemoryError):
            raise
        except Exception as error:
            raise UserError(f"{folder} cannot be loaded: {type(error).__name__}: {first_line(error)}") from error

    return cast(Callable[Concatenate[Path, P], T], guarded)


@_of_folder
def architecture_of(folder: Path) -> str | None:
    """Return the architecture of the ranker in a folder; None for a bare encoder, which may become any."""
    checkpoint = Checkpoint(folder)
    if ENTRY in checkpoint.config:
        return STUDENTS.resolve(str(checkpoint.entry.get("architecture")))
    return next((name for name in STUDENTS if STUDENTS[name].ranker().recognises(checkpoint)), None)


@_of_folder
def saved_lengths(folder: Path, architecture: str | None = None) -> dict[str, int]:
    """Return the lengths in tokens that the ranker in a folder was saved or published with, by the keys of `[data]`."""
    checkpoint, name = Checkpoint(folder), architecture_of(folder) or architecture
    return {} if name is None else STUDENTS[name].ranker().published_lengths(checkpoint)


@_of_folder
def saved_prefixes(folder: Path, architecture: str | None = None) -> Prefixes:
    """Return what the ranker in a folder reads before queries and documents; none for another architecture's."""
    found = architecture_of(folder)
    if found is None or found != (architecture or found):
        return Prefixes()
    checkpoint = Checkpoint(folder)
    if checkpoint.declared.is_yes_no:
        return Prefixes()  # its template has them
    if checkpoint.declared.settings:
        return checkpoint.declared.prefixes(found)
    return Prefixes.of_entry(checkpoint.entry)


@_of_folder
def saved_options(folder: Path, architecture: str, chosen: Mapping[str, Any] | None = None) -> Options:
    """Return the options of the ranker in a folder, with some of them chosen anew.

    They are those it was saved or published with; what other libraries' files say counts, where both say something.
    Raises UserError where nothing computes what these files say.
    """
    kind, checkpoint = STUDENTS[architecture].ranker(), Checkpoint(folder)
    if chosen and not kind.options_build_on_others(chosen):
        return options_of(kind.options_type, chosen, architecture)
    if ENTRY in checkpoint.config:
        own = student_options(architecture, checkpoint.entry.get("options"))
        found = replace(own, **kind.declared_options(checkpoint))
    else:
        found = kind.published_options(checkpoint)
    return options_of(kind.options_type, {**asdict(found), **chosen}, architecture) if chosen else found


@_of_folder
def exported_entry(folder: Path) -> dict[str, Any] | None:
    """Return what a folder says of the ONNX file that it holds in place of weights; None for any other folder."""
    told = Checkpoint(folder).entry.get("onnx")
    return told if isinstance(told, dict) else None


def _refuse_exported(folder: Path) -> None:
    if exported_entry(folder) is not None or (not weight_files(folder) and (folder / ONNX).is_file()):
        raise UserError(
            f"{folder} holds an ONNX file, which is scored with (--backend onnx) and neither trained nor written anew: "
            "name the model that it was made of"
        )


@_of_folder
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
    _refuse_exported(folder)
    found = architecture_of(folder)
    name = found if architecture is None else STUDENTS.resolve(architecture)
    if name is None:
        raise UserError(f"{folder} does not say which ranker it is: give its architecture, {', '.join(STUDENTS)}")
    if found is not None and found != name:
        raise UserError(f"{folder} holds a {found}, not a {name}")
    STUDENTS[name].require_options(options)
    ranker = STUDENTS[name].ranker().load(Checkpoint(folder), options or saved_options(folder, name), dropout, dtype)
    ranker.prefixes = ranker.options.wrapped(saved_prefixes(folder, name))
    return ranker.eval()


@_of_folder
def load_encoder(folder: Path, dropout: float | None = None) -> PreTrainedModel:
    """Load the encoder of any model folder, without its head, to start a ranker from."""
    _refuse_exported(folder)
    name = architecture_of(folder)
    if name is not None and STUDENTS[name].ranker().holds_encoder(Checkpoint(folder)):
        return load_ranker(folder, dropout=dropout).encoder
    try:
        with silent():
            config = AutoConfig.from_pretrained(folder, **LOCAL)
            set_dropout(config, dropout)
            encoder, report = from_folder(encoder_class(config), folder, config, torch.float32)
    except (*LOADING_ERRORS, UserError) as error:
        raise UserError(f"{folder} cannot be loaded as an encoder: {first_line(error)}") from error
    require_whole(folder, report, "")
    require_known(folder, report, halved=config.is_encoder_decoder)
    encoder = bare_encoder(encoder)
    require_encoder(encoder, folder)
    return encoder


def from_folder(
    kind: Any, folder: Path, config: PretrainedConfig, dtype: torch.dtype, **options: Any
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Return a model that transformers builds of a folder's weights, and its report on their names.

    Args:
        kind: a class of transformers
        folder: a model folder
        config: the model's configuration
        dtype: the dtype of the weights
        options: more that `from_pretrained` takes
    """
    source: dict[str, Any] = {"pretrained_model_name_or_path": folder, "use_safetensors": True}
    if any(file.suffix == ".bin" for file in weight_files(folder)):
        if hasattr(kind, "from_config"):
            with torch.device("meta"):
                # Auto classes take no weights without a folder.
                kind = type(kind.from_config(copy.deepcopy(config)))
        source = {"pretrained_model_name_or_path": None, "state_dict": Checkpoint(folder).weights(dtype)}
    model, report = kind.from_pretrained(
        **source, config=config, dtype=dtype, output_loading_info=True, **LOCAL, **options
    )
    return model, report


@_of_folder
def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a model folder; raises UserError where there is none, or one without a padding token."""
    checkpoint = Checkpoint(folder)
    if (folder / "config.json").exists():
        require_sound(checkpoint.config, folder)
    for pattern in ("*.json", "vocab.*", "merges.txt"):
        if strange := next(
            (file for file in sorted(folder.glob(pattern)) if file.exists() and not file.is_file()), None
        ):
            raise UserError(f"{strange} is not a regular file")
    try:
        with silent():
            tokenizer = _tokenizer(folder, checkpoint.released_base)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder} holds no tokenizer that can be loaded: {first_line(error)}") from error
    if Checkpoint(folder).declared.lowercases:
        _lower_case(tokenizer)
    if tokenizer.pad_token_id is None:
        raise UserError(f"{folder} holds a tokenizer without a padding token, which batches of unequal texts need")
    return tokenizer


def _lower_case(tokenizer: PreTrainedTokenizerFast) -> None:
    """Make a tokenizer lower-case its texts, as sentence-transformers does where a folder says so."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UserError("do_lower_case = true: its tokenizer has no part that lower-cases; expected false")
    own = backend.normalizer
    if own is None or not re.search(r"Lowercase\(|lowercase=True", str(own)):
        backend.normalizer = Normalizers([Lowercase(), *([own] if own is not None else [])])


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
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        known = [row for word, row in tokenizer.get_vocab().items() if word not in tokenizer.added_tokens_encoder]
    else:
        known = [*backend.get_vocab(with_added_tokens=False).values()]
    largest = max([*known, *tokenizer.all_special_ids])
    # CANINE hashes characters, and has no vocabulary.
    if largest >= getattr(config, "vocab_size", ENDLESS):
        raise UserError(
            f"{folder}: its tokenizer and its model are of different vocabularies: a token has the number {largest}, "
            f"and the model has embeddings of {config.vocab_size}"
        )


def encoder_from(
    config: PretrainedConfig, weights: Mapping[str, Tensor], where: object, dtype: torch.dtype
) -> tuple[PreTrainedModel, set[str]]:
    """Return an encoder of some weights, and the names of those that it has no use for.

    transformers finds out which weight is which, by whatever names its versions and others have saved them under.
    Raises UserError where one is missing or of another shape.
    """
    kind = encoder_class(config)
    with silent():
        encoder, report = kind.from_pretrained(
            None,
            config=config,
            state_dict=dict(weights),
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    for entry in sorted(report["mismatched_keys"]):
        name, found, expected = entry
        raise UserError(f"{where}: the weight {name} has the shape {list(found)}, not {list(expected)}")
    absent = [name for name in report["missing_keys"] if not _is_unread(name)]
    if absent:
        raise UserError(f"{where}: the weight {min(absent)} is missing{_more(absent)}")
    return bare_encoder(encoder), {name for name in report["unexpected_keys"] if not _is_unread(name)}


def _is_unread(name: str) -> bool:
    return ".pooler." in f".{name}" or name.endswith(UNREAD)


def load_weights(ranker: nn.Module, weights: Mapping[str, Tensor], where: object) -> None:
    """Give a ranker its weights; raises UserError that names the first one missing, unexpected or of another shape."""
    require_weights({name: tensor.shape for name, tensor in ranker.state_dict().items()}, weights, where)
    ranker.load_state_dict(dict(weights))


def require_weights(expected: Mapping[str, Any], weights: Mapping[str, Tensor], where: object) -> None:
    """Raise UserError that names the first weight missing, unexpected or of another shape than is expected."""
    missing, unexpected = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    for names, what in ((missing, "missing"), (unexpected, "unexpected")):
        if names:
            raise UserError(f"{where}: the weight {min(names)} is {what}{_more(names)}")
    for name, shape in expected.items():
        if weights[name].shape != shape:
            found = list(weights[name].shape)
            raise UserError(f"{where}: the weight {name} has the shape {found}, not {list(shape)}")


def _more(names: Collection[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def require_whole(folder: Path, report: dict[str, Any], encoder: str) -> None:
    """Raise UserError if loading drew a weight of the encoder at random, the pooler apart, which serves a head.

    `encoder` is what the names of its weights begin with.
    """
    absent = [name for name in drawn_weights(report) if name.startswith(encoder) and ".pooler" not in f".{name}"]
    if absent:
        raise UserError(f"{folder} does not hold the weights that its config.json describes: {absent[0]} is missing")


def require_known(folder: Path, report: dict[str, Any], known: tuple[str, ...] = (), halved: bool = False) -> None:
    """Raise UserError if a folder holds weights of layers, or under one of some prefixes, that the model has not.

    Of a model of two halves, `halved`, the decoder is not asked for.
    """
    strange = sorted(
        name
        for name in report["unexpected_keys"]
        if not (halved and DECODER.search(name))
        and (LAYER.search(name) or name.startswith(known))
        and not _is_unread(name)
    )
    if strange:
        raise UserError(
            f"{folder}: the weight {strange[0]} is unexpected{_more(strange)}: its config.json describes no such one"
        )


def drawn_weights(report: dict[str, Any]) -> list[str]:
    """Return the names of the weights that loading drew at random, absent or of another size."""
    mismatched = [entry[0] if isinstance(entry, tuple) else entry for entry in report["mismatched_keys"]]
    return sorted([*report["missing_keys"], *mismatched])
