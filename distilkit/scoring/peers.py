"""What other libraries make of a ranker that we saved: their scores of a few texts beside ours.

`distilkit export` asks the library that an export is for, where it is installed, and refuses what differs.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from distilkit.data.tokens import TokenStore
from distilkit.errors import RunFailed
from distilkit.evaluation.rerank import score_pairs
from distilkit.models.options import offset_of
from distilkit.models.silence import silent
from distilkit.progress import OneProcess
from distilkit.scoring.rankers import OpenRanker

Scores = npt.NDArray[np.float64]
Peer = Callable[[Path, OpenRanker, Sequence[str], Sequence[str]], Scores]

TOLERANCE = 1e-5
"""Of a score, absolutely, and relative to the largest one."""

ONNX_TOLERANCE = 1e-4
"""The same for onnxruntime, which sums in another order; quantised weights give other scores, and are only told of."""

QUERIES = ("how do I cook rice", "What is the capital of France?", "train")
DOCUMENTS = ("Boil the rice in water for ten minutes.", "Paris is the capital, and the largest city, of France.", "no")
WORDS = "the old river runs past the city, and the train is late; what is boiled in water is rice, at noon. "


@dataclass(frozen=True)
class Agreement:
    """How far a library's scores are from ours: the largest difference, or why nothing was compared.

    Where a difference is what one expects, the largest score says how much it is. `offset` is what distilkit adds to
    every score and the library does not.
    """

    library: str
    difference: float | None = None
    why_not: str = ""
    largest: float | None = None
    offset: float = 0.0

    def __str__(self) -> str:
        if self.difference is None:
            return f"not checked in {self.library}: {self.why_not}"
        of = "" if self.largest is None else f", where the largest is {self.largest:.2g}"
        beside = "" if not self.offset else f", beside the offset {self.offset:g} that it does not add"
        return f"checked in {self.library}: scores differ by {self.difference:.1e} at most{of}{beside}"


def check_export(folder: Path, opened: OpenRanker, format: str) -> Agreement:
    """Score a few texts, some longer than what the ranker reads, here and in the library that a folder is for.

    Raises RunFailed where the scores differ by more than 1e-5, or the library cannot load the folder.
    """
    found = _peer(opened.ranker.architecture, format)
    if found is None:
        return Agreement(format, why_not="distilkit cannot score with it")
    package, peer = found
    try:
        library = f"{package} {version(package)}"
    except PackageNotFoundError:
        return Agreement(package, why_not="it is not installed (pip install 'distilkit[interop]')")
    two = _knows_two_lengths(package)
    if peer is sentence_transformer and not two and opened.query_length != opened.document_length:
        return Agreement(library, why_not="it knows one length for all texts; version 6 has one for queries, too")
    queries, documents = texts(opened, long_queries=two or peer is sentence_transformer)
    ours = our_scores(opened, queries, documents)
    try:
        with warnings.catch_warnings(), silent(), torch.no_grad():
            warnings.simplefilter("ignore")
            theirs = peer(folder, opened, queries, documents)
    except Exception as error:
        raise RunFailed(f"{folder}: {library} cannot score with it: {type(error).__name__}: {error}") from error
    offset = offset_of(opened.ranker.options) or 0.0  # which their files have no place for
    difference = float(np.abs(ours - theirs - offset).max())
    if not difference <= TOLERANCE * max(1.0, float(np.abs(ours).max())):
        raise RunFailed(f"{folder}: {library} scores otherwise than distilkit: by {difference:.2g} of a score at most")
    return Agreement(library, difference, offset=offset)


def check_onnx(opened: OpenRanker, exported: OpenRanker) -> Agreement:
    """Score a few texts, some longer than what the ranker reads, with PyTorch and with an ONNX file of the ranker.

    Raises RunFailed where a file of float32 weights scores otherwise by more than 1e-4.
    """
    library, batch = f"onnxruntime {version('onnxruntime')}", texts(opened)
    ours, theirs = our_scores(opened, *batch), our_scores(exported, *batch)
    difference, largest = float(np.abs(ours - theirs).max()), float(np.abs(ours).max())
    if exported.ranker.stored == "fp32" and not difference <= ONNX_TOLERANCE * max(1.0, largest):
        raise RunFailed(f"{library} scores otherwise than distilkit: by {difference:.2g} of a score at most")
    return Agreement(library, difference, largest=None if exported.ranker.stored == "fp32" else largest)


def texts(opened: OpenRanker, long_queries: bool = True) -> tuple[list[str], list[str]]:
    """Return queries and documents, the last of each longer than what a ranker reads of it."""
    times = max(1, opened.stored_length // 16)
    long = WORDS * times
    return [*QUERIES, *([long] if long_queries else [])], [*DOCUMENTS, long]


def our_scores(opened: OpenRanker, queries: Sequence[str], documents: Sequence[str]) -> Scores:
    """Return the score of every query with every document, shape ``[Q * D]``, in float32 on the CPU."""
    stores = [
        TokenStore.of([f"{before}{text}{after}" for text in side], opened.tokenizer, opened.stored_length)
        for side, (before, after) in zip((queries, documents), opened.prefixes.sides, strict=True)
    ]
    rows = np.indices((len(queries), len(documents))).reshape(2, -1)
    return score_pairs(
        opened.ranker,
        opened.tokens(*stores),
        *rows,
        batch_size=4,
        precision="fp32",
        processes=OneProcess(),
        progress=lambda done, total: None,
    )


def _peer(architecture: str, format: str) -> tuple[str, Peer] | None:
    """Return the package that is asked for a format, and how."""
    late = "pylate" if _installed("pylate") else "sentence-transformers"
    return {
        ("bert_cat", "cross-encoder"): ("sentence-transformers", cross_encoder),
        ("bert_cat", "transformers"): ("transformers", sequence_classifier),
        ("bert_dot", "sentence-transformers"): ("sentence-transformers", sentence_transformer),
        ("bert_dot", "transformers"): ("transformers", first_token),
        ("colbert", "pylate"): (late, pylate if late == "pylate" else multi_vector),
        ("colbert", "sentence-transformers"): ("sentence-transformers", multi_vector),
    }.get((architecture, format))


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _knows_two_lengths(package: str) -> bool:
    """Tell whether a library has a length for queries and one for documents, as sentence-transformers has since 6."""
    return package != "sentence-transformers" or int(version(package).partition(".")[0]) >= 6


def cross_encoder(folder: Path, opened: OpenRanker, queries: Sequence[str], documents: Sequence[str]) -> Scores:
    """Return what CrossEncoder predicts, which is the raw score where no sigmoid sneaks in."""
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    pairs = [(query, document) for query in queries for document in documents]
    return np.asarray(model.predict(pairs, batch_size=4, show_progress_bar=False), np.float64).reshape(-1)


def sequence_classifier(folder: Path, opened: OpenRanker, queries: Sequence[str], documents: Sequence[str]) -> Scores:
    """Return the logits of AutoModelForSequenceClassification."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    left, right = zip(*((query, document) for query in queries for document in documents), strict=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(list(left), list(right), truncation=True, padding=True, return_tensors="pt")
    return model(**tokens).logits.double().numpy().reshape(-1)  # type: ignore[no-any-return]


def sentence_transformer(folder: Path, opened: OpenRanker, queries: Sequence[str], documents: Sequence[str]) -> Scores:
    """Return the products of SentenceTransformer's vectors."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    vectors = model.encode_query(list(queries)), model.encode_document(list(documents))
    return model.similarity(*vectors).double().numpy().reshape(-1)  # type: ignore[no-any-return]


def first_token(folder: Path, opened: OpenRanker, queries: Sequence[str], documents: Sequence[str]) -> Scores:
    """Return the products of AutoModel's states of first tokens."""
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)

    def vectors(side: Sequence[str], length: int) -> torch.Tensor:
        cut = partial(tokenizer, truncation=True, padding=True, return_tensors="pt")
        states: torch.Tensor = model(**cut(list(side), max_length=length)).last_hidden_state
        return states[:, 0]

    found = vectors(queries, opened.query_length) @ vectors(documents, opened.document_length).T
    return found.double().numpy().reshape(-1)


def multi_vector(folder: Path, opened: OpenRanker, queries: Sequence[str], documents: Sequence[str]) -> Scores:
    """Return what the multi-vector class of sentence-transformers scores."""
    from sentence_transformers import MultiVectorEncoder

    model = MultiVectorEncoder(str(folder), device="cpu", local_files_only=True)
    vectors = model.encode_query(list(queries)), model.encode_document(list(documents))
    return model.similarity(*vectors).cpu().double().numpy().reshape(-1)  # type: ignore[no-any-return]


def pylate(folder: Path, opened: OpenRanker, queries: Sequence[str], documents: Sequence[str]) -> Scores:
    """Return what PyLate scores."""
    from pylate.models import ColBERT
    from pylate.scores import colbert_scores

    model = ColBERT(str(folder), device="cpu", local_files_only=True)
    sides = ((queries, True), (documents, False))
    encoded = [model.encode(list(side), is_query=is_query, show_progress_bar=False) for side, is_query in sides]
    found = [
        float(colbert_scores(torch.tensor(query)[None], torch.tensor(document)[None]).item())
        for query in encoded[0]
        for document in encoded[1]
    ]
    return np.array(found)
