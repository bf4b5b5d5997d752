"""What changes a trained stage's key, and what does not."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess
from distilkit.recipe import load_recipe

Keys = Callable[..., dict[str, str]]

# On top of the tiny recipe, so that every field that may change a result does.
BASE = {
    "student.dropout": 0.1,
    "teacher.dropout": 0.1,
    "train.eval_steps": 5,
    "train.train_queries": 12,
    "train.gradient_accumulation_steps": 2,
    "train.per_device_train_batch_size": 4,
    "twin.budget": "none",
}

# A changed key of the recipe, and whether the keys of the teacher and of the student's stage change with it.
SAME = (False, False)
STUDENT = (False, True)
TEACHER = (True, True)
CHANGES: list[tuple[dict[str, Any], tuple[bool, bool]]] = [
    ({"name": "other"}, SAME),
    ({"description": "words"}, SAME),
    ({"train.logging_steps": 1}, SAME),
    ({"train.save_steps": 3}, SAME),
    ({"train.torch_compile": True}, SAME),
    ({"teacher.train.logging_steps": 1}, SAME),
    ({"teacher.train.save_steps": 3}, SAME),
    ({"train.per_device_train_batch_size": 8, "train.gradient_accumulation_steps": 1}, SAME),
    ({"evaluate.measures": ["RR@5"]}, SAME),
    ({"evaluate.queries": 3}, SAME),
    ({"evaluate.per_device_eval_batch_size": 7}, SAME),
    ({"twin.budget": "steps"}, SAME),
    ({"twin.queries": "student"}, SAME),
    ({"teacher.train.metric_for_best_model": "RR@5"}, SAME),  # nothing is chosen by it without eval_steps
    ({"seed": 2}, STUDENT),
    ({"train.learning_rate": 2e-3}, STUDENT),
    ({"train.num_train_epochs": 3.0}, STUDENT),
    ({"train.max_steps": 9}, STUDENT),
    ({"train.per_device_train_batch_size": 5}, STUDENT),
    ({"train.gradient_accumulation_steps": 3}, STUDENT),
    ({"train.lr_scheduler_type": "cosine"}, STUDENT),
    ({"train.warmup_ratio": 0.2}, STUDENT),
    ({"train.weight_decay": 0.2}, STUDENT),
    ({"train.adam_epsilon": 1e-8}, STUDENT),
    ({"train.max_grad_norm": 2.0}, STUDENT),
    ({"train.freeze_embeddings": True}, STUDENT),
    ({"train.bf16": True}, STUDENT),
    ({"train.eval_steps": 6}, STUDENT),
    ({"train.eval_steps": 6, "train.early_stopping_patience": 2}, STUDENT),
    ({"train.eval_examples": [8]}, STUDENT),
    ({"train.optim": "bert_adam"}, STUDENT),
    ({"train.learning_rates": {"classifier": 1e-2}}, STUDENT),
    ({"data.on_missing": "skip"}, SAME),  # of files of triples and scores
    ({"data.query_length": 9}, SAME),  # of students that read query and passage apart
    ({"data.document_length": 9}, SAME),
    ({"strategy.layer_map": "last"}, STUDENT),
    ({"strategy.layer_map": [1, 4]}, STUDENT),
    ({"strategy.teacher_mode": "train"}, STUDENT),
    ({"strategy.general": True}, STUDENT),
    ({"stages.distil.learning_rate": 1e-4}, STUDENT),
    ({"stages.general.learning_rate": 1e-4}, SAME),  # a stage that the strategy has not
    ({"general_seed": 2}, SAME),
    ({"train.metric_for_best_model": "RR@10"}, STUDENT),
    ({"evaluate.rerank_depth": 5}, STUDENT),  # of the validation that chooses the best checkpoint
    ({"evaluate.bf16": True}, STUDENT),
    ({"data.validation_queries": 3}, STUDENT),
    ({"train.train_queries": 11}, STUDENT),
    ({"train.teacher_queries": True}, STUDENT),
    ({"train.negatives": 1}, STUDENT),
    ({"train.negative_depth": 20}, STUDENT),
    ({"train.negatives_from": "bm25"}, STUDENT),
    ({"train.labels": "none"}, STUDENT),
    ({"train.labels": "none", "train.teacher_positives": 2}, STUDENT),
    ({"train.negative_range_min": 1}, STUDENT),
    ({"train.negative_range_max": 9}, STUDENT),
    ({"train.negative_absolute_margin": 0.1}, STUDENT),
    ({"train.negative_relative_margin": 0.1}, STUDENT),
    ({"train.negative_max_score": 1.0}, STUDENT),
    ({"student.shape": "L1_H16"}, STUDENT),
    ({"student.start": "every_nth_layer"}, STUDENT),
    ({"student.start": "random"}, STUDENT),
    ({"student.start": "random", "student.embeddings": "pca"}, STUDENT),
    ({"student.vocabulary": "collection"}, STUDENT),
    ({"student.dropout": 0.2}, STUDENT),
    ({"student.query_prefix": "query: "}, STUDENT),
    ({"student.document_prefix": "passage: "}, STUDENT),
    ({"teacher.query_prefix": "query: "}, TEACHER),
    ({"teacher.document_prefix": "passage: "}, TEACHER),
    ({"student.num_labels": 2}, STUDENT),
    ({"strategy.temperature": 2.0}, STUDENT),
    ({"strategy.weights.attention": 0.5}, STUDENT),
    ({"strategy.weights.hard": 0.0}, STUDENT),
    ({"strategy.projection": "per_state"}, STUDENT),
    ({"strategy.variant": "released_code"}, STUDENT),
    ({"teacher.seed": 2}, TEACHER),
    ({"teacher.query_seed": 2, "teacher.train.train_queries": 9}, TEACHER),
    ({"teacher.dropout": 0.2}, TEACHER),
    ({"teacher.fine_tune": "fine_tune(listwise=2.0)"}, TEACHER),
    ({"teacher.shape": "L3_H16"}, TEACHER),
    ({"teacher.combine": "standardised"}, SAME),  # of one teacher there is nothing to combine
    ({"teacher.train.learning_rate": 3e-3}, TEACHER),
    ({"teacher.train.eval_steps": 5}, TEACHER),
    ({"teacher.train.negatives": 1}, TEACHER),
    ({"data.max_length": 12}, TEACHER),
    ({"data.k1": 1.2}, TEACHER),
    ({"data.b": 0.7}, TEACHER),
    ({"data.stemmer": "german"}, TEACHER),
    ({"data.language": "de"}, TEACHER),
    ({"data.exclude_self": True}, SAME),  # no query of the tiny collection is a document
    ({"data.validation": {"from": "train", "queries": 4}}, TEACHER),
]


@pytest.fixture(scope="module")
def keys(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Return a function from changes of the tiny recipe to the keys of its teacher and its student."""
    root = tmp_path_factory.mktemp("keys") / ".artifacts"

    def find(changes: dict[str, Any] | None = None, root: Path = root) -> dict[str, str]:
        recipe = load_recipe(
            tiny_recipe, [f"{key}={_toml(value)}" for key, value in {**BASE, **(changes or {})}.items()]
        )
        pipeline = Pipeline(recipe, Workspace(root, OneProcess(), Reporter(quiet=True)))
        (point,), (chain,) = pipeline.grid(), pipeline.teacher_chains
        return {"teacher": chain[-1].key, "student": point.stages[-1].key}

    return find


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value).replace("'", '"')


@pytest.fixture(scope="module")
def base(keys: Keys) -> dict[str, str]:
    return keys()


@pytest.mark.parametrize(("changes", "expected"), CHANGES, ids=[" ".join(changes) for changes, _ in CHANGES])
def test_key(keys: Keys, base: dict[str, str], changes: dict[str, Any], expected: tuple[bool, bool]) -> None:
    found = keys(changes)
    assert (found["teacher"] != base["teacher"], found["student"] != base["student"]) == expected


def test_every_setting_of_a_training_is_in_the_table() -> None:
    from distilkit.settings import DataSettings, StudentSettings, TrainSettings

    tested = {key for changes, _ in CHANGES for key in changes}
    sections = {"train": TrainSettings, "student": StudentSettings, "data": DataSettings}
    expected = {f"{section}.{field}" for section, kind in sections.items() for field in kind.model_fields}
    elsewhere = {
        "train.fp16",  # needs a GPU; a precision like the other two
        "student.architecture",  # there is one
        "student.source",
        "train.triples",  # told by its content: test_teachers_of_files.py
        "data.source",
        "data.path",
        "data.dataset",
        "data.splits",
        "data.candidates",
        "data.queries",  # told by the collection's content, as is the next
        "data.sentences",
        "data.segmenter",  # needs ICU: tests/data/test_languages.py
        "data.passages",
        "student.options",
    }
    assert expected - tested == elsewhere


def test_runs_are_kept_anywhere(keys: Keys, base: dict[str, str], tmp_path: Path) -> None:
    assert keys(root=tmp_path / "elsewhere") == base


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Iterator[Path]:
    """Return a copy of the tiny checkpoint."""
    shutil.copytree(tiny_checkpoint, tmp_path / "copied-model")
    return tmp_path / "copied-model"


def test_data_is_told_by_its_content(keys: Keys, base: dict[str, str], tiny_beir: Path, tmp_path: Path) -> None:
    copied = tmp_path / "another-name"
    shutil.copytree(tiny_beir, copied)
    assert keys({"data.path": str(copied)}) == base
    corpus = copied / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace("apple", "pear", 1))
    changed = keys({"data.path": str(copied)})
    assert changed["teacher"] != base["teacher"]
    assert changed["student"] != base["student"]


def test_given_candidates_are_told_by_their_content(
    keys: Keys, base: dict[str, str], tiny_beir: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "with-candidates"
    shutil.copytree(tiny_beir, copied)
    (copied / "candidates").mkdir()
    run = copied / "candidates" / "given.train.trec"
    found = []
    for score in (1.0, 2.0):
        run.write_text("".join(f"q{query} Q0 d{query + 1} 1 {score} given\n" for query in range(20)))
        found.append(keys({"data.path": str(copied), "data.candidates": "given"}))
    assert len({one["teacher"] for one in [base, *found]}) == 3


def test_models_are_told_by_their_content(keys: Keys, base: dict[str, str], checkpoint: Path) -> None:
    assert keys({"teacher.model": str(checkpoint)}) == base
    weights = load_file(checkpoint / "model.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    changed = keys({"teacher.model": str(checkpoint)})
    assert changed["teacher"] != base["teacher"]
    assert changed["student"] != base["student"]


def test_the_tokenizer_changes_the_key(keys: Keys, base: dict[str, str], checkpoint: Path) -> None:
    tokenizer = checkpoint / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"apple"', '"appel"'))
    assert keys({"teacher.model": str(checkpoint)})["teacher"] != base["teacher"]


def test_a_student_of_its_own_is_told_by_its_content(
    keys: Keys, tmp_path: Path, make_checkpoint: Callable[..., None]
) -> None:
    found = []
    for name, seed in [("a", 1), ("b", 1), ("c", 2)]:
        make_checkpoint(tmp_path / name, layers=2, seed=seed)
        found.append(keys({"student.start": str(tmp_path / name)})["student"])
    assert found[0] == found[1] != found[2]
    sources = [keys({"student.source": str(tmp_path / name)})["student"] for name in "abc"]
    assert sources[0] == sources[1] != sources[2]


def test_a_latency_is_measured_anew_on_another_machine(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys() -> list[str]:
        workspace = Workspace(tmp_path / ".artifacts", OneProcess(), Reporter(quiet=True))
        return [node.key for node in Pipeline(load_recipe(tiny_recipe), workspace).targets() if node.kind == "cost"]

    here = keys()
    assert len(here) == 2  # of teacher and student
    assert keys() == here
    monkeypatch.setattr("distilkit.pipeline.evaluation.machine", lambda: {"host": "else", "cpu": "c", "cores": 2})
    assert not {*keys()} & {*here}
