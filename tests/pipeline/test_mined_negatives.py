"""[train] negatives_from: BM25, a run, a model; filters by the teacher's score; the twin has the same negatives."""

import numpy as np
import pytest
from settings_given import sets
from tiny_rankers import save_tiny

from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.twin import twin_of
from distilkit.pipeline.workspace import Workspace
from distilkit.recipe import load_recipe
from distilkit.training.processes import Processes

TRAINED = ["teacher.fine_tune=none", "strategy.name=standard_kd", "train.negative_depth=6", "data.max_length=16"]


@pytest.fixture
def lists_of(tiny_recipe, tmp_path):
    """Return a function from settings to the pipeline, the student's candidates and its drawn lists."""

    def find(*settings):
        workspace = Workspace(tmp_path / ".artifacts", Processes(), Reporter(quiet=True))
        pipeline = Pipeline(load_recipe(tiny_recipe, [*TRAINED, *settings]), workspace)
        examples = pipeline.grid()[0].stages[-1].examples
        source = getattr(examples, "examples", examples).source
        return pipeline, workspace.value(source.candidates), workspace.value(source)

    return find


def test_bm25_by_its_name_is_what_there_is_without_one(lists_of):
    _, named, lists = lists_of("train.negatives_from=bm25")
    _, plain, others = lists_of()
    assert (named.passages == plain.passages).all()
    assert (lists.passages == others.passages).all()


def test_a_run_brings_its_candidates(lists_of, tmp_path):
    run = tmp_path / "mine.trec"
    run.write_text("".join(f"q{i} Q0 d{j} 0 {-j}.0 t\n" for i in range(20) for j in range(30, 36)))
    _, candidates, lists = lists_of(f"train.negatives_from={run}")
    assert candidates.passages[0].tolist() == [30, 31, 32, 33, 34, 35]
    assert set(lists.passages[:, 1:].ravel().tolist()) <= set(range(30, 36))
    _, _, filtered = lists_of(f"train.negatives_from={run}", "train.negative_range_min=4")
    assert set(filtered.passages[:, 1:].ravel().tolist()) == {34, 35}
    assert filtered.said[0].startswith("of 120 candidates 80 (negative_range_min = 4) are not taken as negatives")


def test_a_cross_encoder_re_ranks_bm25s_candidates(lists_of, tiny_checkpoint):
    _, candidates, _ = lists_of(f"train.negatives_from={tiny_checkpoint}")
    _, first, _ = lists_of()
    assert (np.sort(candidates.passages, axis=1) == np.sort(first.passages, axis=1)).all()
    found = candidates.passages >= 0
    assert (np.diff(candidates.scores, axis=1)[found[:, 1:]] <= 0).all()
    assert (candidates.passages != first.passages).any()


def test_a_model_that_searches_finds_them_in_the_whole_collection(lists_of, tiny_checkpoint, tmp_path):
    folder = tmp_path / "dot"
    save_tiny(folder, tiny_checkpoint, "bert_dot")
    _, candidates, _ = lists_of(f"train.negatives_from={folder}")
    assert candidates.passages.shape == (20, 6)
    assert (candidates.passages >= 0).all()
    assert (np.diff(candidates.scores, axis=1) <= 0).all()


def test_the_teacher_filters_and_the_twin_has_the_same_negatives(lists_of, tiny_recipe):
    pipeline, candidates, lists = lists_of("train.negative_max_score=-1000")
    # Nothing scores so low: all are drawn from the corpus.
    assert lists.said[0].endswith("negatives are drawn from the whole corpus instead")
    pipeline, _, filtered = lists_of("train.negative_absolute_margin=0.0")
    twin = twin_of(pipeline)
    assert twin is not None
    examples = twin.grid()[0].stages[-1].examples
    theirs = pipeline.workspace.value(getattr(examples, "examples", examples).source)
    assert (theirs.passages == filtered.passages).all()
    source = pipeline.grid()[0].stages[-1].examples.examples.source
    rows, columns = filtered.queries, filtered.passages
    drawn_from = {
        int(query): set(found.tolist()) for query, found in zip(candidates.queries, candidates.passages, strict=True)
    }
    for query, (positive, *negatives) in zip(rows, columns, strict=True):
        inside = [one for one in negatives if int(one) in drawn_from[int(query)]]
        if inside:
            pairs = np.array([positive, *inside])
            scores = source.scores.of(pipeline.workspace, np.full(len(pairs), query), pairs)
            assert (scores[1:] <= scores[0]).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["train.negatives_from=nowhere"], "[train] negatives_from = 'nowhere': expected bm25, a TREC run or a model"),
        (["teacher.train.negative_max_score=1.0"], "[teacher.train] filters negatives by the teacher's score"),
        (["train.negative_range_min=50"], "negative_range_min = 50 leaves nothing; expected at most 49"),
    ],
)
def test_what_cannot_be_is_refused_in_the_dry_run(settings, message, tiny_recipe, tmp_path, cli):
    asked = sets(*settings)
    found = cli("run", tiny_recipe, "--runs-dir", tmp_path, *asked, "--dry-run")
    assert (found.code, message in " ".join(found.err.split())) == (2, True), found.err


def test_a_run_of_other_queries_is_refused_in_the_dry_run(tiny_recipe, tmp_path, cli):
    run = tmp_path / "mine.trec"
    for text, message in (("q26 Q0 d1 1 1.0 t\n", "holds nothing for 20 of 20 training queries, such as 'q0'"),):
        run.write_text(text)
        found = cli("run", tiny_recipe, "--runs-dir", tmp_path, "--set", f"train.negatives_from={run}", "--dry-run")
        assert (found.code, message in " ".join(found.err.split())) == (2, True), found.err
    run.write_text("".join(f"q{i} Q0 e{i} 1 1.0 t\n" for i in range(20)))
    found = cli("run", tiny_recipe, "--runs-dir", tmp_path, "--set", f"train.negatives_from={run}", "--dry-run")
    assert (found.code, "the passage id 'e0' is unknown" in found.err) == (2, True), found.err
