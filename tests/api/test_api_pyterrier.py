"""A ranker in a PyTerrier pipeline: scores of `load`, ranks of PyTerrier, other columns as they were."""

from pathlib import Path

import pandas as pd
import pytest
from tiny_rankers import save_tiny

import distilkit
from distilkit import UserError

pt = pytest.importorskip("pyterrier")
# Of PyTerrier's own use of pandas.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The inplace keyword")

RESULTS = pd.DataFrame(
    [
        ("1", "what violin", "d1", "a quiet violin", 3.0, 0, "x"),
        ("1", "what violin", "d2", "old river of red copper", 2.0, 1, "y"),
        ("2", "red copper", "d2", "old river of red copper", 9.0, 0, "z"),
    ],
    columns=["qid", "query", "docno", "text", "score", "rank", "kept"],
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    folder = tmp_path_factory.mktemp("model") / "cat"
    save_tiny(folder, tiny_checkpoint, "bert_cat")
    return folder


def test_it_reranks_and_keeps_other_columns(model: Path) -> None:
    from distilkit.pyterrier import Reranker

    reranker = Reranker(model)
    found = reranker(RESULTS)
    scores = distilkit.load(model).score(list(zip(RESULTS["query"], RESULTS["text"], strict=True)))
    wanted = dict(zip(zip(RESULTS["qid"], RESULTS["docno"], strict=True), scores, strict=True))
    for row in found.itertuples():
        assert row.score == pytest.approx(wanted[row.qid, row.docno], abs=1e-5)
    first = found[found["qid"] == "1"]
    assert list(first["rank"]) == [0, 1]
    assert first["score"].is_monotonic_decreasing
    assert dict(zip(found["docno"] + found["qid"], found["kept"], strict=True)) == {"d11": "x", "d21": "y", "d22": "z"}
    assert list(RESULTS["score"]) == [3.0, 2.0, 9.0]  # the frame that was given is as it was


def test_it_is_part_of_a_pipeline(model: Path) -> None:
    from distilkit.pyterrier import Reranker

    pipeline = pt.Transformer.from_df(RESULTS) >> Reranker(distilkit.load(model))
    found = pipeline.search("what violin", qid="1")
    assert set(found["docno"]) == {"d1", "d2"}


def test_a_frame_without_texts_is_said(model: Path) -> None:
    from distilkit.pyterrier import Reranker

    with pytest.raises(UserError, match="no column 'body'"):
        Reranker(model, text_field="body")(RESULTS)
