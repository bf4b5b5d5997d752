"""What sentence-transformers and PyLate write beside a model: modules, prompts, lengths. Read whole, or refused."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from distilkit.data.prefixes import SIDES, Prefixes
from distilkit.data.side_tokens import MARKERS
from distilkit.errors import UserError
from distilkit.files import read_json
from distilkit.models.weights import weight_files

MODULES = "modules.json"
SETTINGS = "config_sentence_transformers.json"
STANFORD = "artifact.metadata"
# Where the settings of the module that holds the encoder lie, the first that is there; older versions wrote others.
ENCODER_SETTINGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
LATE = ("ColBERT", "MultiVectorEncoder")
POOLINGS = {"cls_token": "cls", "mean_tokens": "mean", "lasttoken": "last", "cls": "cls", "mean": "mean"}
# PyLate's own lengths, where it saved none.
LATE_LENGTHS = {"query_length": 32, "document_length": 180}


@dataclass(frozen=True)
class Module:
    """One module of a folder: the last part of its class's name, where it lies, and its settings."""

    kind: str
    folder: Path
    settings: dict[str, Any]


class Declared:
    """What the files of sentence-transformers, PyLate and Stanford's ColBERT say of how a folder's model is used.

    Whoever asks for options gets what the model's own library would compute, or a UserError that names what it is that
    no ranker here computes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def modules(self) -> list[Module]:
        """The modules in their order, [] for a folder that sentence-transformers did not write."""
        if not (self.folder / MODULES).is_file():
            return []
        return [self._module(entry) for entry in self._table(MODULES, list)]

    def _module(self, entry: Any) -> Module:
        try:
            kind, path = str(entry["type"]).rsplit(".", 1)[-1], Path(str(entry["path"]))
        except (KeyError, TypeError):
            raise UserError(f"{self.folder / MODULES}: expected a list of modules, each with type and path") from None
        if path.is_absolute() or ".." in path.parts:
            raise UserError(f"{self.folder / MODULES}: the path {str(path)!r} is not inside the model's folder")
        own = str(path / "config.json")
        settings = {} if path == Path() or not (self.folder / own).is_file() else self._table(own, dict)
        return Module(kind, self.folder / path, settings)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What holds for the whole model: its kind, prompts, similarity; {} where nothing is said."""
        found: dict[str, Any] = self._table(SETTINGS, dict) if (self.folder / SETTINGS).is_file() else {}
        return found

    @cached_property
    def encoder(self) -> dict[str, Any]:
        """The settings of the module that holds the encoder, its lengths above all."""
        name = next((name for name in ENCODER_SETTINGS if (self.folder / name).is_file()), None)
        found: dict[str, Any] = {} if name is None else self._table(name, dict)
        return found

    @cached_property
    def stanford(self) -> dict[str, Any]:
        """What Stanford's code wrote of its ColBERT; {} where it did not."""
        found: dict[str, Any] = self._table(STANFORD, dict) if (self.folder / STANFORD).is_file() else {}
        return found

    def _table(self, name: str, kind: type) -> Any:
        path = self.folder / name
        try:
            found = read_json(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
        if not isinstance(found, kind):
            raise UserError(f"{path} cannot be read: expected a {'table' if kind is dict else 'list'}")
        return found

    # Which ranker it is

    @property
    def kinds(self) -> list[str]:
        """The kinds of the modules after the encoder."""
        return [module.kind for module in self.modules[1:]]

    @property
    def is_late(self) -> bool:
        """Whether it is a late-interaction model of PyLate or sentence-transformers."""
        told = self.settings.get("model_type") in LATE or "maxsim" in self.similarity.lower()
        return bool(self.modules) and (told or "MultiVectorMask" in self.kinds)

    @property
    def is_dot(self) -> bool:
        """Whether it makes one vector a text."""
        return "Pooling" in self.kinds and not self.is_late and self.settings.get("model_type") != "SparseEncoder"

    @property
    def is_yes_no(self) -> bool:
        """Whether it is a language model that is asked, and scores by the difference of two words' logits."""
        return self.kinds == ["LogitScore"]

    @property
    def similarity(self) -> str:
        """The name of the similarity; sentence-transformers takes the cosine where a model says nothing."""
        return str(self.settings.get("similarity_fn_name") or "cosine")

    @property
    def dense(self) -> Path | None:
        """The folder of the one linear map of states or vectors, None without one. Raises UserError for another map."""
        if self.modules:
            found = [module for module in self.modules if module.kind == "Dense"]
        else:
            folders = sorted(self.folder.glob("*_Dense"))
            found = [Module("Dense", one, self._table(f"{one.name}/config.json", dict)) for one in folders]
        if not found:
            return None
        if len(found) > 1:
            raise UserError(f"{self.folder} has {len(found)} Dense modules: a ranker maps its states once")
        module = found[0]
        # sentence-transformers takes a hyperbolic tangent where nothing is said.
        activation = module.settings.get("activation_function") or "torch.nn.Tanh"
        if not str(activation).endswith("Identity"):
            raise UserError(f"{module.folder} has an activation function: a ranker's map of its states is linear")
        if module.settings.get("use_residual"):
            raise UserError(f"{module.folder} adds its input to its output: a ranker's map of its states is linear")
        return module.folder

    def dot_options(self) -> dict[str, Any]:
        """Return the options of a bert_dot that pooling, normalisation and similarity come to, the map's size apart."""
        self._require_plain("bert_dot", ("Pooling", "Dense", "Normalize"))
        pooling = next(module for module in self.modules if module.kind == "Pooling")
        if self.kinds[0] != "Pooling" or self.kinds.count("Normalize") > 1:
            raise UserError(f"{self.folder / MODULES}: expected an encoder, a Pooling, a Dense and a Normalize at most")
        if "Normalize" in self.kinds and self.kinds[-1] != "Normalize":
            raise UserError(f"{self.folder / MODULES}: expected Normalize behind all other modules")
        if self.similarity not in ("dot", "cosine"):
            raise UserError(
                f"{self.folder} compares vectors by {self.similarity!r}: a bert_dot takes their dot product, or cosine"
            )
        if pooling.settings.get("include_prompt") is False and any(self.prefixes("bert_dot")):
            raise UserError(f"{pooling.folder} leaves the prompt out of its mean: a bert_dot reads it like other text")
        normalise = "Normalize" in self.kinds or self.similarity == "cosine"
        return {"pooling": self._pooling(pooling), "normalise": normalise}

    def _pooling(self, module: Module) -> str:
        given, prefix = module.settings, "pooling_mode_"
        modes = [name.removeprefix(prefix) for name, on in given.items() if name.startswith(prefix) and on is True]
        mode = given.get("pooling_mode") or (modes[0] if len(modes) == 1 else "several poolings")
        if isinstance(mode, list | tuple):
            mode = mode[0] if len(mode) == 1 else "several poolings"
        if mode not in POOLINGS:
            known = ", ".join(dict.fromkeys(POOLINGS.values()))
            raise UserError(f"{module.folder} makes vectors by {mode!r}: a bert_dot has the poolings {known}")
        return POOLINGS[mode]

    def late_options(self) -> dict[str, Any]:
        """Return the options of a colbert that these files come to, the map's size and bias apart."""
        if not self.modules:
            return self._stanford_options()
        self._require_plain("colbert", ("Dense", "MultiVectorMask", "Normalize"))
        settings, native = self.settings, "MultiVectorMask" in self.kinds
        if self.settings.get("similarity_fn_name") and self.similarity.lower() != "maxsim":
            raise UserError(f"{self.folder} compares tokens by {self.similarity!r}: a colbert takes the sum of maxima")
        if native:
            expansion = self.encoder.get("query_expansion") or {}
            words = next(one for one in self.modules if one.kind == "MultiVectorMask").settings
            skipped, expands, attends = words.get("skiplist_words"), bool(expansion), expansion.get("attend")
            if expansion.get("strategy", "fixed") != "fixed" or expansion.get("token"):
                raise UserError(f"{self.folder}: query_expansion is not that of ColBERT, [MASK]s up to a fixed length")
            if words.get("keep_only_token_ids") or words.get("skiplist_tasks", ["document"]) != ["document"]:
                raise UserError(f"{self.folder}: MultiVectorMask leaves out more than words of documents")
        else:
            skipped, expands = settings.get("skiplist_words"), settings.get("do_query_expansion") is not False
            attends = settings.get("attend_to_expansion_tokens")
            skipped = list(string.punctuation) if skipped is None else skipped
        return {
            "query_masks": "fill" if expands else 0,
            "attend_to_masks": bool(attends),
            "skip_punctuation": _skipped(skipped or []),
            "markers": self._markers(native),
            "normalise": not native or "Normalize" in self.kinds,
        }

    def _markers(self, native: bool) -> bool | list[str]:
        """Return the tokens that PyLate puts before queries and documents; natively they are prompts like others."""
        found = [str(self.settings.get(f"{side}_prefix") or "") for side in SIDES]
        if native or not any(found):
            return False
        return True if found == [*MARKERS.values()] else found

    def _stanford_options(self) -> dict[str, Any]:
        given = self.stanford
        if given.get("similarity", "cosine") != "cosine":
            raise UserError(f"{self.folder / STANFORD}: similarity = {given['similarity']!r}; a colbert takes cosines")
        named = zip(("query_token_id", "doc_token_id"), MARKERS.values(), strict=True)
        markers = [str(given.get(name) or token) for name, token in named]
        return {
            "markers": True if markers == [*MARKERS.values()] else markers,
            "skip_punctuation": bool(given.get("mask_punctuation", True)),
            "attend_to_masks": bool(given.get("attend_to_mask_tokens", False)),
        }

    def require_cat(self) -> None:
        """Raise UserError for a cross-encoder that computes more than its classifier's logit."""
        self._require_plain("bert_cat", ())

    def _require_plain(self, architecture: str, known: tuple[str, ...]) -> None:
        if self.modules and self.modules[0].folder != self.folder:
            raise UserError(f"{self.folder / MODULES}: expected the encoder in the model's own folder")
        other = next((kind for kind in self.kinds if kind not in known), None)
        if other is not None:
            raise UserError(f"{self.folder / MODULES}: a {other} module is not a part of a {architecture}")
        if self.encoder.get("tokenizer_name_or_path"):
            raise UserError(f"{self.folder}: its tokenizer is that of another model; expected one of its own")

    # How its texts are read

    def prefixes(self, architecture: str) -> Prefixes:
        """Return the prompts that its library puts before queries and documents without being asked."""
        prompts = self.settings.get("prompts") or {}
        if architecture == "bert_cat":
            return Prefixes(str(prompts.get(self.settings.get("default_prompt_name")) or ""))
        return Prefixes(*(str(prompts.get(side) or "") for side in SIDES))

    @property
    def lowercases(self) -> bool:
        """Whether texts are lower-cased before the tokenizer reads them."""
        return bool(self.encoder.get("do_lower_case"))

    def lengths(self, keys: tuple[str, ...]) -> dict[str, int]:
        """Return the most tokens of its texts, by the keys of `[data]`; {} where its files say nothing of them."""
        found: Mapping[str, Any] = {**self.encoder}
        if self.is_late:
            expansion = self.encoder.get("query_expansion") or {}
            own = {key: self.settings.get(key) for key in LATE_LENGTHS}
            own = {**own, "query_length": expansion.get("length") or own["query_length"]}
            found = {**LATE_LENGTHS, **_given(self.encoder), **_given(own)}
        elif self.stanford:
            found = {"query_length": self.stanford.get("query_maxlen"), "document_length": self.stanford["doc_maxlen"]}
        most = found.get("max_seq_length")
        given = {key: found.get(key) or (None if self.is_late else most) for key in keys}
        return {key: int(value) for key, value in given.items() if value}

    # Files

    def files(self) -> list[Path]:
        """Return all files that are read of the folder beside its own configuration, tokenizer and weights."""
        names = (MODULES, SETTINGS, STANFORD, *ENCODER_SETTINGS)
        found = [self.folder / name for name in names if (self.folder / name).is_file()]
        parts = {module.folder for module in self.modules if module.folder != self.folder}
        for part in sorted({*parts, *self.folder.glob("*_Dense")}):
            found += [*([part / "config.json"] if (part / "config.json").is_file() else []), *weight_files(part)]
        return found


def _given(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}


def _skipped(words: list[str]) -> bool | list[str]:
    """Return whether all punctuation is left out, or the words that are, as a colbert's options have it."""
    return True if set(words) == {*string.punctuation} else sorted({*words}) or False
