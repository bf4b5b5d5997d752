"""Scores of the released code: TK's own, and those of tiny DistilBERT rankers computed from its formulae."""

import zlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import DistilBertConfig

from distilkit.models.batch import SideBatch, TokenBatch
from distilkit.models.cat import BertCat
from distilkit.models.colbert import ColBert, ColBertOptions, max_sim
from distilkit.models.dot import BertDot, DotOptions
from distilkit.models.encoder import encoder_of
from distilkit.models.prettr import PreTtr, PreTtrOptions
from distilkit.models.tk import Tk, TkOptions, sinusoids


def fill(
    module: nn.Module, scale: float, prefix: str = "", norms: tuple[str, ...] = ("LayerNorm", "layer_norm")
) -> None:
    """Give every parameter the values that the golden numbers were computed with."""
    for name, parameter in module.named_parameters():
        name = prefix + name
        steps = torch.arange(parameter.numel(), dtype=torch.float64)
        values = scale * torch.sin(0.37 * steps + zlib.crc32(name.encode()) % 1000)
        is_norm = name.endswith(".weight") and any(norm in name for norm in norms)
        parameter.data.copy_((values + is_norm).view_as(parameter))


def tk(**options: Any) -> Tk:
    ranker = Tk(torch.zeros(4, 8), TkOptions(heads=2, feed_forward=12, **options)).double().eval()
    fill(ranker.contextualizer, 0.1, "contextualizer.", norms=("norm",))
    fill(ranker.kernels.kernel_bin_weights, 0.1, "kernel_bin_weights.")
    return ranker


QUERIES = torch.sin(0.9 * torch.arange(48, dtype=torch.float64)).view(2, 3, 8)
DOCUMENTS = torch.cos(0.5 * torch.arange(80, dtype=torch.float64)).view(2, 5, 8)
QUERY_MASK = torch.tensor([[1, 1, 1], [1, 1, 0]]).bool()
DOCUMENT_MASK = torch.tensor([[1] * 5, [1, 1, 1, 0, 0]]).bool()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.1555537266874995, -1.7213627668520526]),
        ({"kernel_scale": True}, [0.1555537266874995, -1.7213627668520526]),
        ({"mix": False}, [-4.411741833418565, -2.610099304203537]),
    ],
)
def test_tk(options: dict[str, Any], expected: list[float], training: bool) -> None:
    ranker = tk(**options).train(training)
    queries = ranker.contextualise(QUERIES, QUERY_MASK, 0)
    documents = ranker.contextualise(DOCUMENTS, DOCUMENT_MASK, 500)
    scores = ranker.kernels(queries, documents, QUERY_MASK, DOCUMENT_MASK)
    assert scores.tolist() == pytest.approx(expected, abs=1e-9)


def test_tk_kernels() -> None:
    ranker = tk()
    queries = ranker.contextualise(QUERIES, QUERY_MASK, 0)
    documents = ranker.contextualise(DOCUMENTS, DOCUMENT_MASK, 500)
    expected = [-28.199010813524424, -16.752494215355277, -2.7181242078126475, 0.38666981198595995]
    expected += [-1.5667146752200756, -1.8761258564689234, 1.6011579130273759, -0.6917164752687188]
    expected += [-3.2395901705856343, -14.966609932266522, -38.68594103189003]
    found = ranker.kernels.per_kernel(queries, documents, QUERY_MASK, DOCUMENT_MASK)[0]
    assert found.tolist() == pytest.approx(expected, abs=1e-9)


def test_tk_positions() -> None:
    query = [0.8414710, 0.0463992, 0.0021544, 0.0001, 0.5403023, 0.9989229, 0.9999977, 1]
    document = [-0.4677718, -0.9379936, 0.8806428, 0.0499792, -0.8838493, -0.3466526, 0.4737807, 0.9987503]
    assert sinusoids(0, 2, 8)[1].tolist() == pytest.approx(query, abs=2e-7)
    assert sinusoids(500, 1, 8)[0].tolist() == pytest.approx(document, abs=2e-5)


def test_max_sim() -> None:
    queries = torch.sin(0.7 * torch.arange(24, dtype=torch.float64)).view(2, 3, 4)
    documents = torch.cos(0.3 * torch.arange(40, dtype=torch.float64)).view(2, 5, 4)
    scores = max_sim(queries @ documents.transpose(1, 2), QUERY_MASK, DOCUMENT_MASK)
    assert scores.tolist() == pytest.approx([5.061413174782384, 1.1012214649268217], abs=1e-12)


def distilbert() -> Any:
    config = DistilBertConfig(
        vocab_size=40, dim=8, n_heads=2, n_layers=4, hidden_dim=16, max_position_embeddings=32, dropout=0.0
    )
    encoder = encoder_of(config).double()
    fill(encoder, 0.6)
    return encoder


def tokens(rows: list[list[int]], lengths: list[int]) -> TokenBatch:
    return TokenBatch(torch.tensor(rows), (torch.arange(len(rows[0])) < torch.tensor(lengths)[:, None]).long())


QUERY = tokens([[2, 5, 9, 3, 0], [2, 6, 7, 8, 3]], [4, 5])
DOCUMENT = tokens([[2, 10, 11, 12, 13, 3], [2, 14, 15, 3, 0, 0]], [6, 4])
WITHOUT_CLS = TokenBatch(DOCUMENT.input_ids[:, 1:], DOCUMENT.attention_mask[:, 1:])


def assert_scores(ranker: Any, batch: Any, expected: list[float]) -> None:
    found: Tensor = ranker.double().eval().score(batch)
    assert found.tolist() == pytest.approx(expected, abs=1e-9)


def test_dot() -> None:
    assert_scores(
        BertDot(distilbert(), DotOptions()), SideBatch(QUERY, DOCUMENT), [5.118721766074044, 5.23019584821441]
    )


def test_colbert() -> None:
    ranker = ColBert(distilbert(), ColBertOptions("papers")).double()
    fill(ranker.compressor, 0.6, "compressor.")
    assert_scores(ranker, SideBatch(QUERY, DOCUMENT), [9.053157733879267, 12.997607386228307])
    # The numbers tell masks apart: this is what everything would score with padding taken for tokens.
    everything = [
        TokenBatch(side.input_ids, side.attention_mask, None, side.attention_mask * 0 + 1) for side in (QUERY, DOCUMENT)
    ]
    assert_scores(ranker, SideBatch(*everything), [11.355356589449546, 13.571829766407753])


@pytest.mark.parametrize(
    ("options", "document", "expected"),
    [
        ({"join_layer": 2, "document_offset": "batch"}, WITHOUT_CLS, [0.2773357318788092, 0.27041281327647737]),
        ({"join_layer": 2, "document_offset": 5}, WITHOUT_CLS, [0.2773357318788092, 0.27041281327647737]),
        ({"join_layer": 0, "document_offset": "batch"}, WITHOUT_CLS, [0.27826476109060194, 0.26755971639645837]),
        ({"document_offset": 0}, WITHOUT_CLS, [0.27321289073905153, 0.2660493910208165]),
        ({"document_offset": "batch"}, DOCUMENT, [0.2719623652635129, 0.26617139942975687]),
    ],
)
def test_prettr(options: dict[str, Any], document: TokenBatch, expected: list[float]) -> None:
    ranker = PreTtr(distilbert(), PreTtrOptions(**options)).double()
    fill(ranker._classification_layer, 0.6, "_classification_layer.")
    assert_scores(ranker, SideBatch(QUERY, document), expected)


CAT = tokens([[2, 5, 9, 3, 10, 11, 12, 13, 3], [2, 6, 7, 8, 3, 14, 15, 3, 0]], [9, 8])
CAT_SCORES = [-0.2576282279108614, -0.2614939927468243]


def test_cat_as_published(tmp_path: Any) -> None:
    """The released head of DistilBERT, folded into that of transformers; written without any code of ours."""
    from published_layouts import write_cat

    from distilkit.models.cat import load_cat

    write_cat(tmp_path / "cat", fill=0.6)
    ranker = load_cat(tmp_path / "cat", dtype=torch.float64, require_head=True)
    assert isinstance(ranker, BertCat)
    assert_scores(ranker, CAT, CAT_SCORES)
