"""What holds for every ranker that reads queries and documents apart."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_processes import started
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tiny_models import tiny_batch, tiny_config
from tiny_students import KINDS, ranker_of, sides
from torch.nn import functional as F

from distilkit.errors import UserError
from distilkit.models import STUDENTS, student_options
from distilkit.models.batch import GroupedSides, SideBatch, TokenBatch, on_device
from distilkit.models.encoded import Encoded, load_encoded, save_encoded
from distilkit.models.encoder import encoder_of

FAMILIES = ["bert", "distilbert", "electra", "roberta"]
CASES = [(kind, family) for kind in KINDS for family in (["bert"] if kind.startswith("tk") else FAMILIES)]
CASES += [("dot", "albert"), ("colbert", "albert")]  # which has one layer, and so none that a prettr could split


def wider(batch: TokenBatch, amount: int, token: int) -> TokenBatch:
    """Return a batch with more padding, of any token id."""
    columns = (batch.attention_mask, batch.token_type_ids, batch.scored)
    rest = [None if column is None else F.pad(column, (0, amount)) for column in columns]
    ids = batch.input_ids.masked_fill((batch.attention_mask | batch.score_mask) == 0, token)
    return TokenBatch(F.pad(ids, (0, amount), value=token), *rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "family"), CASES)
def test_encoding_and_scoring_apart_is_scoring(kind: str, family: str) -> None:
    ranker, batch = ranker_of(kind, family), sides(kind)
    scores = ranker.score(batch)
    assert scores.shape == (3,)
    assert scores.dtype == torch.float32
    queries, documents = ranker.encode_query(batch.query), ranker.encode_document(batch.document)
    torch.testing.assert_close(ranker.score_encoded(queries, documents), scores, rtol=0, atol=1e-5)
    assert len(set(scores.tolist())) == 3
    # One by one, and so without padding.
    for row in range(3):
        alone = SideBatch(*(_row(side, row) for side in (batch.query, batch.document)))
        torch.testing.assert_close(ranker.score(alone), scores[row : row + 1], rtol=1e-5, atol=2e-5)


def _row(batch: TokenBatch, row: int) -> TokenBatch:
    width = int((batch.attention_mask | batch.score_mask)[row].nonzero().max()) + 1
    columns = (batch.input_ids, batch.attention_mask, batch.token_type_ids, batch.scored)
    return TokenBatch(*(None if column is None else column[row : row + 1, :width] for column in columns))  # type: ignore[arg-type]


@settings(deadline=None, max_examples=5)
@given(query=st.integers(0, 7), document=st.integers(0, 7), token=st.integers(0, 39))
@pytest.mark.parametrize(("kind", "family"), CASES)
def test_padding_never_changes_a_score(kind: str, family: str, query: int, document: int, token: int) -> None:
    ranker, batch = ranker_of(kind, family), sides(kind)
    padded = SideBatch(wider(batch.query, query, token), wider(batch.document, document, token))
    torch.testing.assert_close(ranker.score(padded), ranker.score(batch), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_counts(kind: str) -> None:
    ranker, batch = ranker_of(kind), sides(kind)
    for side in ("query", "document"):
        ids = getattr(batch, side).input_ids.clone()
        ids[0, 2] = 39 - ids[0, 2]
        changed = replace(batch, **{side: replace(getattr(batch, side), input_ids=ids)})
        difference = (ranker.score(changed) - ranker.score(batch)).abs()
        assert difference[0] > 1e-4
        assert difference[1:].max() < 2e-5


@pytest.mark.parametrize("kind", KINDS)
def test_a_repeated_query_is_encoded_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ranker, batch = ranker_of(kind), sides(kind)
    index = torch.tensor([2, 0, 2])
    repeated = SideBatch(*(_index(batch.query, index), batch.document))
    widths: list[int] = []
    encode = ranker.encode_query
    monkeypatch.setattr(ranker, "encode_query", lambda query: widths.append(len(query)) or encode(query))
    scores = ranker.score(SideBatch(batch.query, batch.document, index))
    torch.testing.assert_close(scores, ranker.score(repeated), rtol=1e-5, atol=1e-5)
    assert widths[0] == 3
    widths.clear()
    tail, first = torch.tensor([1, 2]), torch.tensor([0])
    documents = _index(batch.document, tail), _index(batch.document, first)
    grouped = GroupedSides(batch.query, documents, (index[tail], index[first]))
    torch.testing.assert_close(ranker.score(grouped), scores[[1, 2, 0]], rtol=1e-5, atol=1e-5)
    assert widths.count(3) == 1  # some encode documents as they do queries
    moved = on_device(SideBatch(batch.query, batch.document, index), "meta")
    assert moved.query_index is not None
    assert {moved.query.input_ids.device.type, moved.query_index.device.type} == {"meta"}
    assert len(moved) == 3


def _index(batch: TokenBatch, index: torch.Tensor) -> TokenBatch:
    columns = (batch.input_ids, batch.attention_mask, batch.token_type_ids, batch.scored)
    return TokenBatch(*(None if column is None else column[index] for column in columns))  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["dot", "colbert", "colbert-stanford", "prettr", "tk"])
def test_scores_of_fewer_bits_rank_alike(kind: str, dtype: torch.dtype) -> None:
    """Whole models in float16, and bfloat16 autocast; pairs whose scores differ by more than the noise keep order."""
    lengths = [5 + number % 20 for number in range(60)]
    batch = SideBatch(tiny_batch([6], seed=1), tiny_batch(lengths, seed=2), torch.zeros(60, dtype=torch.long))
    with torch.no_grad():
        exact = ranker_of(kind).score(batch)
        if dtype == torch.float16:
            found = ranker_of(kind).half().score(batch)
        else:
            with torch.autocast("cpu", dtype):
                found = ranker_of(kind).score(batch)
    assert found.dtype == torch.float32
    assert len(found.unique()) > 50
    gaps, seen = exact[:, None] - exact, found[:, None] - found
    clear = gaps.abs() > (0.02 if dtype == torch.float16 else 0.15) * exact.std()
    assert (gaps.sign() == seen.sign())[clear].all()


@pytest.mark.parametrize("kind", ["dot", "dot-8", "colbert", "colbert-stanford"])
def test_all_pairs(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ranker, batch = ranker_of(kind), sides(kind)
    queries, documents = ranker.encode_query(batch.query), ranker.encode_document(batch.document)
    monkeypatch.setattr("distilkit.models.colbert.PRODUCTS", 400)
    scores = ranker.score_all(queries.rows(slice(0, 2)), documents)
    assert scores.shape == (2, 3)
    for query in range(2):
        rows = ranker.score_encoded(queries.rows(torch.full((3,), query)), documents)
        torch.testing.assert_close(scores[query], rows, rtol=1e-5, atol=1e-5)


def score_again(folders: list[Path]) -> None:
    """Print the scores of what was kept in some folders, a line each."""
    for folder in folders:
        queries, documents = (load_encoded(folder / f"{side}.safetensors") for side in ("queries", "documents"))
        print(*ranker_of(folder.name).score_encoded(queries, documents).tolist(), flush=True)


def test_another_process_scores_what_was_kept(tmp_path: Path) -> None:
    kinds = ("dot", "colbert-stanford", "prettr", "tk")
    expected = []
    for kind in kinds:
        ranker, batch = ranker_of(kind), sides(kind)
        encoded = {"queries": ranker.encode_query(batch.query), "documents": ranker.encode_document(batch.document)}
        expected.append(ranker.score(batch))
        for name, one in encoded.items():
            save_encoded(tmp_path / kind / f"{name}.safetensors", one, torch.float32)
        save_encoded(tmp_path / "half.safetensors", encoded["documents"])
        half = load_encoded(tmp_path / "half.safetensors")
        assert half.states.dtype == torch.float16
        torch.testing.assert_close(ranker.score_encoded(encoded["queries"], half), expected[-1], rtol=5e-3, atol=2e-2)
    with started(score_again, [tmp_path / kind for kind in kinds], folder=tmp_path / "said") as process:
        assert process.wait() == 0, process.stderr
        lines = process.stdout.splitlines()
    for line, scores in zip(lines, expected, strict=True):
        found = torch.tensor([float(score) for score in line.split()])
        torch.testing.assert_close(found, scores, rtol=1e-5, atol=1e-5)


def test_encoded_texts() -> None:
    first, second = (Encoded(torch.randn(2, width, 3), torch.ones(2, width).bool()) for width in (4, 2))
    both = Encoded.concatenated([first, second])
    with torch.autocast("cpu", torch.bfloat16):  # which has no type for float16 on a CPU
        halves = Encoded.concatenated([one.to(dtype=torch.float16) for one in (first, second)])
    assert halves.states.dtype == torch.float16
    assert (len(both), tuple(both.states.shape)) == (4, (4, 4, 3))
    assert both.mask is not None
    assert both.mask.sum(1).tolist() == [4, 4, 2, 2]
    assert torch.equal(both.rows(slice(2, 4)).states[:, :2], second.states)
    assert Encoded.concatenated([Encoded(torch.ones(2, 3))] * 2).states.shape == (4, 3)
    assert both.to(dtype=torch.float16).states.dtype == torch.float16


def test_what_cannot_be_kept_or_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="an encoded text does not fit into float16"):
        save_encoded(tmp_path / "large.safetensors", Encoded(torch.full((1, 2), 1e6)))
    assert not [*tmp_path.iterdir()]
    save_file({"weights": torch.ones(2)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"?")
    for name, message in (
        ("other", "holds no encoded texts"),
        ("broken", "cannot be read"),
        ("none", "cannot be read"),
    ):
        with pytest.raises(UserError, match=message):
            load_encoded(tmp_path / f"{name}.safetensors")


def test_texts_without_tokens_score_a_number() -> None:
    empty = TokenBatch(torch.zeros(2, 1, dtype=torch.long), torch.tensor([[0], [1]]))
    ranker = ranker_of("tk")
    for batch in (SideBatch(empty, tiny_batch([3, 3])), SideBatch(tiny_batch([3, 3]), empty)):
        assert ranker.score(batch).isfinite().all()
        ranker.score(batch).sum().backward()
        assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in ranker.parameters())
    colbert = ranker_of("colbert")
    none = replace(tiny_batch([3, 3]), scored=torch.zeros(2, 3, dtype=torch.long))
    assert colbert.score(SideBatch(tiny_batch([3, 3]), none)).tolist() == [0, 0]


def test_prettr_depends_on_its_batch_only_where_told_to() -> None:
    options = student_options("prettr", {"document_offset": "batch"})
    torch.manual_seed(0)
    ranker: Any = STUDENTS["prettr"].ranker()(encoder_of(tiny_config("bert")), options)  # type: ignore[arg-type]
    ranker.eval()
    batch = sides()
    padded = SideBatch(wider(batch.query, 3, 0), batch.document)
    assert (ranker.score(batch) - ranker.score(padded)).abs().max() > 1e-4
    with pytest.raises(UserError, match="document_offset = 'batch' needs a batch's queries"):
        ranker.encode_document(batch.document)
    torch.testing.assert_close(
        ranker.encode_document(batch.document, 6).states,
        replace_offset(ranker, 6).encode_document(batch.document).states,
    )
    with pytest.raises(
        UserError, match="a document of 9 tokens from position 35 on needs 44 positions, the encoder has 40"
    ):
        replace_offset(ranker, 35).encode_document(batch.document)


def replace_offset(ranker: Any, offset: int) -> Any:
    ranker.options = replace(ranker.options, document_offset=offset)
    return ranker


@pytest.mark.parametrize("kind", KINDS)
def test_sizes(kind: str) -> None:
    ranker = ranker_of(kind)
    assert not ranker.reads_pairs
    assert ranker.architecture == KINDS[kind][0]
    layers, heads, hidden = {"tk": (2, 8, 16), "tk-projected": (2, 4, 8)}.get(kind, (4, 2, 16))
    assert (ranker.num_layers, ranker.num_heads, ranker.hidden_size) == (layers, heads, hidden)
    assert ranker.parameter_count == sum(weight.numel() for weight in ranker.state_dict().values())
    # Every parameter is trained: nothing of a forward pass is left without a gradient.
    ranker.train().score(sides(kind)).sum().backward()
    assert [name for name, parameter in ranker.named_parameters() if parameter.grad is None] == []
