"""[train] labels = "none": lists of the teacher's scores, agreement with the teacher, and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from settings_given import sets

from distilkit.files import read_json
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.workspace import Workspace
from distilkit.recipe import load_recipe
from distilkit.training.processes import Processes

UNLABELLED = [
    *("train.labels=none", "teacher.fine_tune=none", "train.negatives=3", "train.negative_depth=6"),
    *("strategy={name = 'margin_mse'}", "data.validation={queries = 4}", "train.max_steps=3"),
]


@pytest.fixture(scope="module")
def queries_alone(tiny_beir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny collection without any judgement."""
    folder = tmp_path_factory.mktemp("unjudged") / "log"
    folder.mkdir()
    for name in ("corpus.jsonl", "queries.jsonl"):
        shutil.copy(tiny_beir / name, folder / name)
    return folder


@pytest.fixture
def pipeline_of(tiny_recipe: Path, tmp_path: Path) -> Callable[..., Pipeline]:
    def make(*settings: str) -> Pipeline:
        workspace = Workspace(tmp_path / ".artifacts", Processes(), Reporter(quiet=True))
        return Pipeline(load_recipe(tiny_recipe, [*UNLABELLED, *settings]), workspace)

    return make


def examples_of(pipeline: Pipeline) -> Any:
    return pipeline.grid()[0].stages[-1].examples


def test_lists_are_in_the_order_of_the_teachers_scores(pipeline_of: Callable[..., Pipeline]) -> None:
    pipeline = pipeline_of("strategy={name = 'distil'}", "train.teacher_positives=2")
    node = examples_of(pipeline)
    found = pipeline.workspace.value(node)
    assert node.count(pipeline.workspace) == len(found.queries) > 0
    assert found.passages.shape[1] == 4
    assert (np.diff(found.targets, axis=1) <= 0).all()
    candidates = pipeline.workspace.value(node.examples.source.candidates)
    rows = {
        int(query): set(own[own >= 0].tolist())
        for query, own in zip(candidates.queries, candidates.passages, strict=True)
    }
    for queries, passages in zip(found.queries, found.passages, strict=True):
        assert set(passages.tolist()) <= rows[int(queries[0])]
        assert len(set(passages.tolist())) == 4
    # The best and the second best of a query each stand first in one.
    firsts = found.passages[:2, 0]
    assert found.queries[0, 0] == found.queries[1, 0]
    assert firsts[0] != firsts[1]


def test_judged_queries_of_other_splits_are_not_trained_on(pipeline_of: Callable[..., Pipeline]) -> None:
    train, validation = pipeline_of().data.judgements
    assert set(validation) == {f"q{i}" for i in range(20, 26)}  # dev's queries, without their judgements
    assert not any(train.values())
    assert not any(validation.values())
    assert set(train) <= {f"q{i}" for i in range(20)}


def test_validation_comes_out_of_the_log_without_splits(
    pipeline_of: Callable[..., Pipeline], queries_alone: Path
) -> None:
    train, validation = pipeline_of(f"data.path={queries_alone}").data.judgements
    assert len(validation) == 4
    assert not set(train) & set(validation)


def test_a_whole_run_without_any_judgement(
    cli: Callable[..., Any], tiny_recipe: Path, tmp_path: Path, queries_alone: Path
) -> None:
    settings = sets(*UNLABELLED, f"data.path={queries_alone}", "train.eval_examples=[8]")
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *settings, "--resume", "auto")
    assert done.code == 0, done.err
    assert "Agreement with the teacher on 4 validation queries without judgements" in done.out
    assert "not a measure of effectiveness" in done.out
    assert "nothing is judged" in done.out
    agreed = read_json(tmp_path / "tiny" / "agreement.json")["measures"]
    assert set(agreed) == {"agreement_nDCG@10", "agreement_tau", "agreement_top1", "agreement_top10"}
    assert not (tmp_path / "tiny-label_only").exists()
    assert read_json(tmp_path / "tiny" / "curve.json")["teacher"] == 1.0
    assert "agreement   with the teacher" in cli("show", "tiny", "--runs-dir", tmp_path).out
    again = cli("run", tiny_recipe, "--runs-dir", tmp_path, *settings, "--resume", "auto", "--json")
    assert json.loads(again.out)["agreement_with_the_teacher"]["measures"] == agreed


def test_judged_test_queries_are_measured_as_ever(cli: Callable[..., Any], tiny_recipe: Path, tmp_path: Path) -> None:
    settings = sets(*UNLABELLED, "strategy={name = 'simplified_tinybert'}", "train.negatives=2")
    planned = cli("run", tiny_recipe, "--runs-dir", tmp_path, *settings, "--dry-run")
    assert planned.code == 0, planned.err
    assert "without labels the loss hard of the stage" in planned.out
    assert "·hard" not in planned.out
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *settings)
    assert done.code == 0, done.err
    assert "teacher" in done.out
    assert "nDCG@10" in done.out
    assert (tmp_path / "tiny" / "eval" / "test" / "measures.json").is_file()


def test_several_runs_are_fused(pipeline_of: Callable[..., Pipeline], tmp_path: Path) -> None:
    for name, first in (("a", 0), ("b", 3)):
        lines = [f"q{i} Q0 d{j} 0 {-j}.0 t\n" for i in range(34) for j in range(first, first + 5)]
        (tmp_path / f"{name}.trec").write_text("".join(lines))
    pipeline = pipeline_of(f"train.negatives_from=['{tmp_path}/a.trec', '{tmp_path}/b.trec']")
    found = pipeline.workspace.value(examples_of(pipeline).examples.source.candidates)
    # d3 is 4th and 1st, d4 5th and 2nd; then d0 (1st), d1 (2nd), d5 (3rd of b) and d2 (3rd of a), equal by row.
    assert found.passages[0].tolist() == [3, 4, 0, 1, 2, 5]
    np.testing.assert_allclose(found.scores[0][:3], [1 / 64 + 1 / 61, 1 / 65 + 1 / 62, 1 / 61])


def test_an_order_alone_teaches_and_validates(
    cli: Callable[..., Any], tiny_recipe: Path, tmp_path: Path, queries_alone: Path
) -> None:
    run = tmp_path / "llm.trec"
    lines = [f"q{i} Q0 d{(i + 3 * j) % 40} {j + 1} {-j}.0 llm\n" for i in range(34) for j in range(6)]
    run.write_text("".join(lines))
    settings = [*UNLABELLED, "strategy={name='distil', losses=[{name='adr_mse'}]}", "train.max_steps=2"]
    settings += [f"data.path={queries_alone}", f"teacher.scores={run}", "teacher.targets=ranks"]
    settings += [f"train.negatives_from={run}", "evaluate.rerank_depth=6"]
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *sets(*settings))
    assert done.code == 0, done.err
    run.write_text("".join(lines[:-3]))
    lacking = cli(
        "run", tiny_recipe, "--runs-dir", tmp_path, *sets(*settings, "name=bm25", "train.negatives_from=bm25")
    )
    assert lacking.code == 2
    assert "have no score in" in lacking.err


def write_broken(tiny_beir: Path, folder: Path) -> None:
    """Write a collection without queries, one whose queries are all measured, and files of scores that lack some."""
    empty, measured = folder / "empty", folder / "measured"
    (measured / "qrels").mkdir(parents=True)
    empty.mkdir()
    for one in (empty, measured):
        shutil.copy(tiny_beir / "corpus.jsonl", one)
    (empty / "queries.jsonl").write_text("")
    lines = (tiny_beir / "queries.jsonl").read_text().splitlines(keepends=True)
    (measured / "queries.jsonl").write_text("".join(lines[26:]))
    shutil.copy(tiny_beir / "qrels" / "test.tsv", measured / "qrels")
    (empty / "nan.trec").write_text("q0 Q0 d0 1 1.0 t\nq0 Q0 d1 2 nan t\n")
    (empty / "few.trec").write_text("q0 Q0 d0 1 1.0 t\nq0 Q0 d1 2 0.5 t\n")


@pytest.mark.parametrize("labels", ["none", "judgements"])
def test_a_teacher_whose_scores_are_no_numbers_is_named(
    cli: Callable[..., Any], tiny_recipe: Path, tiny_checkpoint: Path, tmp_path: Path, labels: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_checkpoint, broken)
    weights = load_file(broken / "model.safetensors")
    weights["classifier.bias"][:] = float("nan")
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    settings = [*UNLABELLED, f"train.labels={labels}", f"teacher.model={broken}", f"student.source={tiny_checkpoint}"]
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *sets(*settings))
    assert done.code == 2
    # What is told depends on whether a model of its sizes was tried before.
    assert "broken" in done.err.splitlines()[-1]
    assert "finite numbers" in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["strategy={name = 'fine_tune'}"], "learns from labels alone (hard); expected a strategy that learns from a"),
        (
            ["train.metric_for_best_model=nDCG@10"],
            "metric_for_best_model: 'nDCG@10' is not a measure of agreement",
        ),
        (["train.negatives=5", "train.teacher_positives=2"], "expected a negative_depth of as many, not 6"),
        (["train.negatives=5"], "have fewer candidates than a list needs: query 'q"),
        (["train.triples=x.tsv"], "triples is read with judged positives alone"),
        (["teacher.train.labels=none", "teacher.fine_tune=fine_tune"], 'expected "judgements"'),
        (["data.validation={queries = 99, from = 'train'}"], "validation.queries is 99; expected 1 to 19"),
        (["train.labels=no"], "[train] labels"),
        (["train.negatives_from=[]"], "expected a name, or a list of names"),
        (["data.queries=sentences", "data.source=pydocs", "data.path=none"], "expected beir, msmarco"),
        (["data.path=EMPTY"], "queries.jsonl: there are no queries; expected at least one with an id and a text"),
        (
            ["data.path=MEASURED"],
            "has 8 queries, and all of them are measured or validate; expected queries of its own",
        ),
        (["teacher.scores=EMPTY/nan.trec"], "nan.trec:2: expected the score to be a finite number, got nan"),
        (["teacher.scores=EMPTY/few.trec"], "examples have no score in"),
    ],
)
def test_what_is_refused(
    cli: Callable[..., Any], tiny_recipe: Path, tiny_beir: Path, tmp_path: Path, settings: list[str], said: str
) -> None:
    run = tmp_path / "few.trec"
    run.write_text("".join(f"q{i} Q0 d{j} 0 {-j}.0 t\n" for i in range(34) for j in range(4)))
    few = [f"train.negatives_from={run}"] if settings == ["train.negatives=5"] else []
    write_broken(tiny_beir, tmp_path)
    given = [one.replace("EMPTY", f"{tmp_path}/empty").replace("MEASURED", f"{tmp_path}/measured") for one in settings]
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *sets(*UNLABELLED, *few, *given))
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
