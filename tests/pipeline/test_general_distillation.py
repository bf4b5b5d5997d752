"""General distillation end to end: its text, its teacher, and students that start from published checkpoints."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from settings_given import sets
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, BertForPreTraining

from distilkit.pipeline.build_objective import PROJECTIONS, build_objective
from distilkit.pipeline.models import Teacher
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess
from distilkit.recipe import load_recipe

Cli = Callable[..., Any]
Run = Callable[..., Path]

SHORT = ("twin.budget=none", "general.max_length=16", "stages.general.max_steps=3", "train.max_steps=4")
GENERAL = (*SHORT, "strategy.general=true")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("general") / "runs"


@pytest.fixture(scope="module")
def run(cli: Cli, tiny_recipe: Path, runs: Path) -> Run:
    """Return a function that runs the tiny recipe and returns the run's folder."""

    def finish(name: str, *options: object) -> Path:
        words = sets(*options)
        done = cli("run", tiny_recipe, "--runs-dir", runs, "--name", name, *words)
        assert done.code == 0, done.err
        return runs / name

    return finish


def plan(cli: Cli, recipe: Path, runs: Path, *options: object) -> Any:
    words = sets(*options)
    done = cli("run", recipe, "--runs-dir", runs, "--name", "planned", "--dry-run", "--json", *words)
    assert done.code == 0, done.err
    return json.loads(done.out)


def refusal(cli: Cli, recipe: Path, runs: Path, *options: object) -> str:
    words = sets(*options)
    done = cli("run", recipe, "--runs-dir", runs, "--name", "refused", *words)
    assert done.code == 2, done.err
    assert not (runs / "refused").exists()
    return str(done.err)


def values(folder: Path, stage: str) -> list[dict[str, float]]:
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [event["values"] for event in events if (event["kind"], event["stage"]) == ("train", stage)]


def text_manifests(runs: Path) -> list[Any]:
    return [json.loads(path.read_text())["made_of"] for path in (runs / ".artifacts" / "text").glob("*/manifest.json")]


def pipeline_of(recipe: Path, runs: Path, *options: str) -> Pipeline:
    workspace = Workspace(runs / ".artifacts", OneProcess(), Reporter(quiet=True), runs / "checkpoints")
    return Pipeline(load_recipe(recipe, [f"{option}" for option in options]), workspace)


def test_the_collections_own_text(run: Run, runs: Path) -> None:
    folder = run("own", *GENERAL)
    general, distil = values(folder, "general"), values(folder, "distil")
    assert set(general[-1]) == {"loss", "learning_rate", "attention", "hidden", "embedding"}
    assert {"soft", "hard"} <= set(distil[-1])
    (made,) = text_manifests(runs)
    assert "collection" in made["text"]
    spent = json.loads((folder / "eval" / "test" / "cost.json").read_text())["training_seconds"]
    assert list(spent) == ["general", "distil"]


def test_what_the_general_stage_leaves_the_next_one_takes_up(run: Run, runs: Path, tiny_recipe: Path) -> None:
    options = (*GENERAL, "student.shape=L2_H8", "student.start=random")
    run("narrow", *options)
    found = pipeline_of(tiny_recipe, runs, *options)
    stages = found.grid()[0].stages
    before = found.workspace.value(stages[0])
    objective = build_objective(stages[1], found.workspace, half=False)
    assert objective.projections is not None
    kept = load_file(before.parent / PROJECTIONS)
    assert set(kept) == {"fit_dense.weight", "fit_dense.bias"}
    assert torch.equal(objective.projections.fit_dense.weight, kept["fit_dense.weight"])
    saved = load_file(before / "model.safetensors")
    student = dict(objective.student.model.named_parameters())
    assert all(torch.equal(student[name], value) for name, value in saved.items())
    # It learned from the checkpoint as it was before fine-tuning, the next stage learns from the ranker.
    assert stages[0].teacher == Teacher((found.bases[0],))
    assert stages[1].teacher == found.ranker != stages[0].teacher


def test_its_twin_takes_as_many_steps_as_all_stages(run: Run, runs: Path) -> None:
    run(
        "with_twin", "strategy.general=true", "general.max_length=16", "stages.general.max_steps=3", "train.max_steps=4"
    )
    twin = runs / "with_twin-label_only"
    status = json.loads((twin / "status.json").read_text())
    assert (status["state"], status["total"]) == ("done", 3 + 4)
    assert values(twin, "fine_tune")
    assert not values(twin, "general")


def test_text_of_a_file(run: Run, runs: Path, cli: Cli, tiny_recipe: Path, tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    lines = [f"the {word} river and the old engine of {word}" for word in ("apple", "violin", "copper", "planet")]
    file.write_text("\n\n".join(lines))
    options = (*GENERAL, f"general.text={file}", "stages.general.per_device_train_batch_size=2")
    run("file", *options)
    steps = {stage["what"]: stage["examples"] for stage in plan(cli, tiny_recipe, runs, *options)["stages"]}
    assert steps["student: general"] == 4
    assert any("collection" not in made["text"] for made in text_manifests(runs))
    # The same words under another name are the same text.
    other = shutil.copy(file, tmp_path / "other.txt")
    cached = plan(cli, tiny_recipe, runs, *options[:-2], f"general.text={other}", options[-1])["stages"]
    assert [stage["cached"] for stage in cached] == [True] * 3
    file.write_text(lines[0])
    cached = plan(cli, tiny_recipe, runs, *options)["stages"]
    assert [stage["cached"] for stage in cached] == [True, False, False]


def test_later_stages_alone_are_trained_anew(run: Run, runs: Path, cli: Cli, tiny_recipe: Path) -> None:
    run("first", *GENERAL)

    def cached(*options: str) -> list[bool]:
        return [stage["cached"] for stage in plan(cli, tiny_recipe, runs, *GENERAL, *options)["stages"]]

    assert cached() == [True, True, True]  # teacher, general, distil
    assert cached("stages.distil.learning_rate=3e-3") == [True, True, False]
    assert cached("seed=5") == [True, True, False]
    assert cached("strategy.temperature=2.0") == [True, True, False]
    assert cached("stages.general.learning_rate=3e-3") == [True, False, False]
    assert cached("general_seed=5") == [True, False, False]
    assert cached("general.masking=one") == [True, False, False]
    assert cached("strategy={name = 'tinybert', one_step = true}") == [True, True, False]


def test_text_that_is_not_there(cli: Cli, tiny_recipe: Path, tmp_path: Path) -> None:
    assert "nowhere.txt" in refusal(cli, tiny_recipe, tmp_path, *GENERAL, "general.text=nowhere.txt")
    found = refusal(cli, tiny_recipe, tmp_path, *GENERAL, "general.max_length=100")
    assert "[general] max_length = 100: the student has positions for 64 tokens" in found


@pytest.fixture(scope="module")
def language_model(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a masked language model of the tiny checkpoint's size, as bert-base-uncased is: no pooler, a head."""
    folder = tmp_path_factory.mktemp("lm") / "bert"
    torch.manual_seed(3)
    BertForMaskedLM(BertConfig.from_pretrained(tiny_checkpoint)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_checkpoint).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("masking", ["one", "bert"])
@pytest.mark.parametrize("strategy", ["lm_distill_fine_tune", "lm_distill_ranker_distill"])
def test_masked_words(run: Run, language_model: Path, strategy: str, masking: str) -> None:
    options = (*SHORT, f"strategy.name={strategy}", f"teacher.model={language_model}", f"general.masking={masking}")
    found = values(run(f"{strategy}-{masking}", *options), "general")
    assert set(found[-1]) == {"loss", "learning_rate", "attention", "hidden", "embedding", "masked_lm"}
    assert found[-1]["masked_lm"] > 0


def test_pairs_change_keys_where_they_are_read_alone(runs: Path, tiny_recipe: Path) -> None:
    def nodes(*options: str) -> tuple[Any, Any, Any]:
        (stage,) = pipeline_of(tiny_recipe, runs, *GENERAL, *options).grid()[0].stages[:1]
        return stage.reader.sequences, stage.reader, stage

    plain, said, pairs = nodes(), nodes("general.pairs=false"), nodes("general.pairs=true")
    assert [node.key for node in plain] == [node.key for node in said]
    assert not {node.key for node in plain} & {node.key for node in pairs}
    # What sequences were known by before there were pairs.
    assert set(plain[0].identity()) == {"text", "tokenizer", "max_length", "max_sequences"}
    assert set(plain[1].identity()) == {"text", "masking", "seed"}
    assert pairs[0].identity() == {**plain[0].identity(), "pairs": True}
    assert nodes("general.pairs=true", "general_seed=5")[0].key == pairs[0].key
    assert nodes("general.pairs=true", "general_seed=5")[1].key != pairs[1].key


def test_masked_words_need_a_mask_and_a_head(cli: Cli, tiny_recipe: Path, tmp_path: Path, language_model: Path) -> None:
    lm = (*SHORT, "strategy.name=lm_distill_fine_tune")
    unmasked = refusal(cli, tiny_recipe, tmp_path, *lm, f"teacher.model={language_model}")
    assert '[general] masking = "none": the loss masked_lm is read at masked words; expected "bert"' in unmasked
    headless = refusal(cli, tiny_recipe, tmp_path, *lm, "general.masking=bert")
    assert "has no head that predicts masked words" in headless
    assert "weights.masked_lm to 0" in headless


def test_a_student_learns_from_pairs_which_texts_continue(run: Run) -> None:
    weights = "strategy.weights={next_text=2.0, hidden=0.5}"
    options = (*GENERAL, "strategy.name=standard_kd", "general.pairs=true", "stages.general.eval_steps=1", weights)
    folder = run("next_text", *options, "student.num_labels=2", "general.masking=one")
    general, after = values(folder, "general"), values(folder, "prediction")
    for one in general:
        total = one["attention"] + 0.5 * one["hidden"] + one["embedding"] + 2 * one["next_text"]
        assert one["loss"] == pytest.approx(total, rel=1e-5)
        assert 0 < one["next_text"] < 3
    assert set(after[-1]) == {"loss", "learning_rate", "soft", "hard"}


def test_next_text_needs_pairs_and_a_student_that_reads_both(cli: Cli, tiny_recipe: Path, tmp_path: Path) -> None:
    weights = "strategy.weights={next_text=1.0}"
    single = refusal(cli, tiny_recipe, tmp_path, *GENERAL, weights)
    assert "[general] pairs = false: the loss next_text tells whether the second text of a pair continues" in single
    assert "expected pairs = true (or [strategy] weights.next_text = 0)" in single
    alone = ("strategy.name=distil", 'strategy.losses=[{name="next_text"}]', "general.pairs=true")
    apart = refusal(cli, tiny_recipe, tmp_path, *SHORT, *alone, "student.architecture=bert_dot")
    assert "a bert_dot reads them apart; expected a bert_cat as the student" in apart
    elsewhere = refusal(cli, tiny_recipe, tmp_path, *SHORT, "strategy.name=ranker_distill", weights)
    assert "next_text is not a key of ranker_distill" in elsewhere
    (tmp_path / "book.txt").write_text(("the red river of an old engine " * 30).strip() + "\n")
    book = refusal(cli, tiny_recipe, tmp_path, *GENERAL, "general.pairs=true", f"general.text={tmp_path / 'book.txt'}")
    assert "are all of one document" in book


def published(folder: Path, tiny_checkpoint: Path, extras: dict[str, torch.Tensor]) -> Path:
    """Write a two-layer student as TinyBERT's are published: encoder, cls.*, and projections by some names."""
    config = BertConfig.from_pretrained(tiny_checkpoint, num_hidden_layers=2, hidden_size=8, intermediate_size=32)
    torch.manual_seed(11)
    model = BertForPreTraining(config)
    folder.mkdir()
    names = {name: value.clone() for name, value in model.state_dict().items() if "decoder" not in name}
    assert any(name.startswith("cls.predictions") for name in names)
    assert any(name.startswith("cls.seq_relationship") for name in names)
    save_file({**names, **extras}, folder / "model.safetensors", {"format": "pt"})
    # Without "architectures", as those are.
    fields = {key: value for key, value in config.to_dict().items() if key != "architectures"}
    (folder / "config.json").write_text(json.dumps({**fields, "pre_trained": "", "structure": [], "emb_size": 8}))
    AutoTokenizer.from_pretrained(tiny_checkpoint).save_pretrained(folder)
    return folder


def vocabulary_alone(folder: Path) -> Path:
    """Leave of a folder's tokenizer its vocab.txt."""
    words = sorted(AutoTokenizer.from_pretrained(folder).get_vocab().items(), key=lambda entry: entry[1])
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word, _ in words))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    return folder


def as_released(folder: Path) -> Path:
    """Leave what TinyBERT_General's are: pytorch_model.bin in torch's first format, config.json and vocab.txt."""
    weights = load_file(folder / "model.safetensors")
    # With the decoder, a copy of the word embeddings.
    weights["cls.predictions.decoder.weight"] = weights["bert.embeddings.word_embeddings.weight"]
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text())
    names = ("hidden_act", "hidden_size", "initializer_range", "intermediate_size", "max_position_embeddings")
    names += ("attention_probs_dropout_prob", "hidden_dropout_prob", "num_attention_heads", "num_hidden_layers")
    kept = {name: config[name] for name in (*names, "type_vocab_size", "vocab_size", "model_type")}
    (folder / "config.json").write_text(json.dumps({**kept, "cell": {}, "emb_size": 8, "structure": []}))
    vocabulary_alone(folder)
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "pytorch_model.bin", "vocab.txt"]
    return folder


def linear(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return torch.randn(16, 8), torch.randn(16)


SHARED = dict(zip(("fit_dense.weight", "fit_dense.bias"), linear(1), strict=True))
PER_STATE = {
    f"fit_denses.{state}.{part}": value
    for state in range(3)
    for part, value in zip(("weight", "bias"), linear(state + 2), strict=True)
}


@pytest.mark.parametrize(
    ("extras", "projection"),
    [(SHARED, "shared"), (PER_STATE, "per_state"), ({}, "shared"), ({}, "per_state"), (PER_STATE, "shared")],
    ids=["fit_dense", "fit_denses", "neither", "neither per state", "other names"],
)
def test_a_published_checkpoint_as_the_start(
    run: Run,
    runs: Path,
    tiny_recipe: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    extras: dict[str, torch.Tensor],
    projection: str,
) -> None:
    folder = published(tmp_path / "tinybert", tiny_checkpoint, extras)
    options = (*SHORT, f"student.start={folder}", "student.shape=L2_H8", f"strategy.projection={projection}")
    found = pipeline_of(tiny_recipe, runs, *options)
    (stage,) = found.grid()[0].stages
    objective = build_objective(stage, found.workspace, half=False)
    assert objective.projections is not None
    projections = dict(objective.projections.named_parameters())
    taken = {name for name, value in extras.items() if name in projections and torch.equal(projections[name], value)}
    assert taken == (set(extras) & set(projections))
    assert bool(taken) == (bool(extras) and projection in ("per_state", "shared") and set(extras) <= set(projections))
    weights = load_file(folder / "model.safetensors")
    student = dict(objective.student.model.named_parameters())
    encoder = {name for name in weights if name.startswith("bert.")}
    assert all(torch.equal(student[name], weights[name]) for name in encoder)
    result = run(f"from-{tmp_path.name}", *options)
    saved = load_file(result / "model" / "model.safetensors")
    assert not [name for name in saved if name.startswith(("cls.", "fit_dense"))]
    assert set(saved) == encoder | {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize(
    ("extras", "projection"), [(SHARED, "shared"), (PER_STATE, "per_state")], ids=["fit_dense", "fit_denses"]
)
def test_a_released_start_of_bin_files(
    run: Run, runs: Path, tiny_recipe: Path, tiny_checkpoint: Path, tmp_path: Path, extras: Any, projection: str
) -> None:
    folder = published(tmp_path / "tinybert", tiny_checkpoint, extras)
    weights = load_file(folder / "model.safetensors")
    options = (*GENERAL, f"student.start={as_released(folder)}", f"strategy.projection={projection}")
    teacher = vocabulary_alone(shutil.copytree(tiny_checkpoint, tmp_path / "teacher"))
    options += ("student.shape=L2_H8", "strategy.name=tinybert", f"teacher.model={teacher}")
    found = pipeline_of(tiny_recipe, runs, *options)
    objective = build_objective(found.grid()[0].stages[0], found.workspace, half=False)
    assert objective.projections is not None
    projections = dict(objective.projections.named_parameters())
    assert all(torch.equal(projections[name], value) for name, value in extras.items())
    student = dict(objective.student.model.named_parameters())
    encoder = {name for name in weights if name.startswith("bert.")}
    assert encoder
    assert all(torch.equal(student[name], weights[name]) for name in encoder)
    result = run(f"released-{tmp_path.name}", *options)
    assert (
        f"{folder} has no safetensors: its weights are read from pytorch_model.bin" in (result / "log.txt").read_text()
    )
    assert encoder < set(load_file(result / "model" / "model.safetensors"))


def test_it_is_told_by_its_weights(runs: Path, tiny_recipe: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    def key(folder: Path) -> str:
        found = pipeline_of(tiny_recipe, runs, *SHORT, f"student.start={folder}", "student.shape=none")
        return found.grid()[0].stages[0].key

    one = published(tmp_path / "one", tiny_checkpoint, SHARED)
    same = shutil.copytree(one, tmp_path / "same")
    other = published(tmp_path / "other", tiny_checkpoint, {})
    assert key(one) == key(same) != key(other)


def test_every_nth_layer(run: Run, runs: Path, tiny_recipe: Path, tiny_checkpoint: Path) -> None:
    options = (*SHORT, "student.start=every_nth_layer")
    found = pipeline_of(tiny_recipe, runs, *options)
    (stage,) = found.grid()[0].stages
    student = build_objective(stage, found.workspace, half=False).student.model
    source = load_file(tiny_checkpoint / "model.safetensors")
    for layer, theirs in enumerate((1, 3)):
        name = "attention.self.query.weight"
        ours = dict(student.bert.encoder.layer[layer].named_parameters())[name]
        assert torch.equal(ours, source[f"bert.encoder.layer.{theirs}.{name}"])
    run("nth", *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("student.shape=L3_H16",), "the 4 layers of the teacher cannot be mapped evenly to 3 of the student"),
        (("student.shape=L2_H8",), "start = 'first_layers' copies layers, so the student's hidden size must be"),
        (("student.shape=L2_H9", "student.start=random"), "not a multiple of the 2 attention heads"),
        (("student.shape=L5_H16",), "the source has 4 layers, not 5"),
        (("student.shape=L5_H8", "student.start=random", "strategy.layer_map=last"), "too few to learn from"),
        (("strategy.layer_map=[1, 2, 3]",), "layer_map has 3 layers; expected one for each of the student's 2"),
        (("strategy.layer_map=[1, 5]",), "layer_map names layer 5; expected layers of the teacher, 1 to 4"),
        (("student.shape=L2_H8", "student.start=random", "strategy.projection=identity"), "'identity' is for equal"),
        (("student.start=no/such/model/at/all",), "no model folder"),
    ],
)
def test_students_that_do_not_fit(
    cli: Cli, tiny_recipe: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    assert message in refusal(cli, tiny_recipe, tmp_path, *SHORT, *options)


@pytest.mark.parametrize("rule", ["[1, 3, 4]", "last"])
def test_other_layers_than_the_uniform_ones(run: Run, rule: str) -> None:
    name = "layers-" + "".join(letter for letter in rule if letter.isalnum())
    folder = run(name, *SHORT, "student.shape=L3_H16", f"strategy.layer_map={rule}")
    assert values(folder, "distil")[-1]["attention"] > 0
