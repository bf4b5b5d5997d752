"""What can be chosen of each architecture: the keys of `[student] options`, with the papers' values as defaults.

Nothing here imports torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from distilkit.data.side_format import MaskPosition, SideFormat
from distilkit.errors import UserError, nearest
from distilkit.files import sha256_once


@dataclass(frozen=True)
class CatOptions:
    """BERT_CAT has no options: its head is the encoder family's own."""


@dataclass(frozen=True)
class DotOptions:
    """BERT_DOT's options.

    Attributes:
        dim: the size of a vector, made by a linear map of the encoder's; by default there is no map, as in the
            published checkpoints (the paper's equation 2 has one)
    """

    dim: int | None = None

    def __post_init__(self) -> None:
        _positive(self, "dim")

    @property
    def sides(self) -> SideFormat:
        """How queries and documents are tokenised."""
        return SideFormat()


FORMS: dict[str, dict[str, Any]] = {
    "papers": {
        "dim": None,
        "bias": True,
        "query_masks": 8,
        "mask_position": "before_sep",
        "attend_to_masks": True,
        "markers": False,
        "normalise": False,
        "skip_punctuation": False,
    },
    "stanford": {
        "dim": 128,
        "bias": False,
        "query_masks": "fill",
        "mask_position": "after_sep",
        "attend_to_masks": False,
        "markers": True,
        "normalise": True,
        "skip_punctuation": True,
    },
}


@dataclass(frozen=True)
class ColBertOptions:
    """ColBERT's options: the Margin-MSE paper's form, or that of Khattab and Zaharia's code; a field changes the form.

    Attributes:
        form: `papers` or `stanford`: where the fields below have their defaults from
        dim: the size of a token's vector (128 in `stanford`); None is the encoder's hidden size, as in `papers`
        bias: whether the linear map has a bias (`papers`)
        query_masks: how many MASKs a query gets beyond its length limit: 8 in `papers`; `fill`, up to it, in `stanford`
        mask_position: `before_sep` (how the paper's model was trained) or `after_sep` (how its card scores)
        attend_to_masks: whether tokens see the MASKs (`papers`)
        markers: whether [unused0] and [unused1] follow [CLS] (`stanford`)
        normalise: whether a token's vector has length one (`stanford`)
        skip_punctuation: whether a document's punctuation is read but not scored (`stanford`)
    """

    form: Literal["papers", "stanford"] = "papers"
    dim: int | None = None
    bias: bool | None = None
    query_masks: int | Literal["fill"] | None = None
    mask_position: MaskPosition | None = None
    attend_to_masks: bool | None = None
    markers: bool | None = None
    normalise: bool | None = None
    skip_punctuation: bool | None = None

    def __post_init__(self) -> None:
        _one_of(self, "form", FORMS)
        for name, value in FORMS[self.form].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        _positive(self, "dim")
        _one_of(self, "mask_position", ("before_sep", "after_sep"))
        _from_zero(self, "query_masks", "a number", "fill")
        _truth(self, "bias", "attend_to_masks", "markers", "normalise", "skip_punctuation")

    @property
    def sides(self) -> SideFormat:
        """How queries and documents are tokenised."""
        names = ("query_masks", "mask_position", "attend_to_masks", "markers", "skip_punctuation")
        return SideFormat(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class PreTtrOptions:
    """PreTTR's options.

    Attributes:
        join_layer: how many layers read query and document apart; by default half of them, as 3 of DistilBERT's 6
        document_offset: the position of a document's first token: 30, the paper's longest query, by default, so that
            documents can be encoded before any query is known; `batch`, the padded width of the batch's queries, is
            what the published code does
        document_cls: whether documents keep their [CLS]: not in the published code, but in the paper's equation 6
        query_masks: how many MASKs a query gets beyond its length limit
        mask_position: `before_sep` or `after_sep`
    """

    join_layer: int | None = None
    document_offset: int | Literal["batch"] = 30
    document_cls: bool = False
    query_masks: int = 0
    mask_position: MaskPosition = "before_sep"

    def __post_init__(self) -> None:
        _one_of(self, "mask_position", ("before_sep", "after_sep"))
        _from_zero(self, "document_offset", "a position", "batch")
        _from_zero(self, "query_masks", "a number")
        if self.join_layer is not None:
            _from_zero(self, "join_layer", "a number")
        _truth(self, "document_cls")

    @property
    def sides(self) -> SideFormat:
        """How queries and documents are tokenised."""
        return SideFormat(
            document_cls=self.document_cls, query_masks=self.query_masks, mask_position=self.mask_position
        )


@dataclass(frozen=True)
class TkOptions:
    """TK's options.

    Attributes:
        embeddings: where the word embeddings come from: `source`, the source encoder's; `random`; or the path of a
            text file in GloVe's format
        vocabulary: `wordpiece`, the source's tokenizer, or `word`, lower-cased words
        dim: the size of a state, by default that of the embeddings; others are mapped to it
        layers: how many layers contextualise
        heads: their attention heads; by default the paper's 10, or the next smaller number that divides the states
        feed_forward: the size of their feed-forward layers
        mix: whether a state is a learned mix of embedding and context (equation 8)
        kernel_scale: whether each kernel's sum has a learned factor, as in the released code
        document_position: the position of a document's first token, 500 in the released code
    """

    embeddings: str = "source"
    vocabulary: Literal["wordpiece", "word"] = "wordpiece"
    dim: int | None = None
    layers: int = 2
    heads: int | None = None
    feed_forward: int = 300
    mix: bool = True
    kernel_scale: bool = False
    document_position: int = 500

    def __post_init__(self) -> None:
        _positive(self, "dim", "layers", "heads", "feed_forward")
        _one_of(self, "vocabulary", ("wordpiece", "word"))
        if not isinstance(self.embeddings, str):
            raise UserError(f"embeddings is 'source', 'random' or the path of a file, not {self.embeddings!r}")
        if self.vocabulary == "word" and self.embeddings == "source":
            raise UserError(
                "tk: a vocabulary of words has no embeddings in the source: embeddings is 'random' or a GloVe file"
            )
        _from_zero(self, "document_position", "a position")
        _truth(self, "mix", "kernel_scale")

    @property
    def sides(self) -> SideFormat:
        """How queries and documents are tokenised."""
        return SideFormat(specials=False)


SideOptions = DotOptions | ColBertOptions | PreTtrOptions | TkOptions
Options = CatOptions | SideOptions


def options_of(kind: type[Any], values: Any, where: str) -> Any:
    """Return an architecture's options from a table; raises UserError for a key it has not, naming the nearest."""
    names = {field.name for field in fields(kind)}
    for name in values:
        if name not in names:
            raise UserError(f"{where} has no option {name!r}{nearest(name, names)}")
    return kind(**values)


def options_identity(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table of options as artifact keys hold it: a file of word embeddings is told by its sha256.

    Raises UserError where there is no such file.
    """
    embeddings = values.get("embeddings")
    if not isinstance(embeddings, str) or embeddings in ("source", "random"):
        return dict(values)
    path = Path(embeddings).expanduser()
    if not path.is_file():
        raise UserError(f"[student] options.embeddings = {embeddings!r}: there is no such file of word embeddings")
    return {**values, "embeddings": sha256_once(path)}


def _positive(options: Any, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        if value is not None and not (_is_number(value) and value > 0):
            raise UserError(f"{name} is a positive number, not {value!r}")


def _from_zero(options: Any, name: str, what: str, word: str | None = None) -> None:
    value = getattr(options, name)
    if not (_is_number(value) and value >= 0) and (word is None or value != word):
        other = "" if word is None else f" or {word!r}"
        raise UserError(f"{name} is {what} from 0{other}, not {value!r}")


def _truth(options: Any, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(options, name), bool):
            raise UserError(f"{name} is true or false, not {getattr(options, name)!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _one_of(options: Any, name: str, known: Any) -> None:
    value = getattr(options, name)
    if value not in known:
        raise UserError(f"{name} is one of {', '.join(known)}, not {value!r}")
