"""Wrong input through the command line: exit code 2, one sentence, and nothing left behind, before any training."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
Refused = Callable[..., str]


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Path, cli: Cli) -> Path:
    """Return a folder of runs whose collection is read already; nothing else may ever be in it."""
    runs = tmp_path_factory.mktemp("refused") / "runs"
    assert cli("run", tiny_recipe, "--runs-dir", runs, "--dry-run").code == 0
    return runs


@pytest.fixture
def refused(cli: Cli, rooms: Path, tiny_recipe: Path) -> Refused:
    """Return a function that runs the tiny recipe with some keys set, and returns the sentence that refuses it."""

    def refused(*sets: str, recipe: object = tiny_recipe, options: tuple[str, ...] = ()) -> str:
        overrides = [part for one in sets for part in ("--set", one)]
        outcome = cli("run", recipe, "--runs-dir", rooms, *overrides, *options)
        assert outcome.code == 2, (outcome.code, outcome.err)
        assert outcome.out == ""
        # Reading data may be said on the way; what is wrong is the last line, and the only one of its kind.
        *before, said = outcome.err.splitlines()
        assert said.startswith("distilkit: ")
        assert all(line.startswith("collection: reading") for line in before), outcome.err
        left = {path.name for path in rooms.iterdir()}
        assert left <= {".artifacts"}
        kinds = {path.name for path in (rooms / ".artifacts").iterdir()}
        told_once = {"in_use", "precision.json", ".precision.json.lock"}  # which number format is fast here
        assert kinds - told_once <= {"collection"}, "something was computed before the input was checked"
        return said.removeprefix("distilkit: ")

    return refused


@pytest.fixture
def beir(tiny_beir: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny collection to break."""
    return shutil.copytree(tiny_beir, tmp_path / "broken")


def test_no_such_recipe(refused: Refused) -> None:
    said = refused(recipe="simplified_tinybret")
    assert said == "no such recipe: simplified_tinybret; did you mean 'simplified_tinybert'?"


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["train.learnin_rate=1"], "--set train.learnin_rate=1: [train] learnin_rate is not a key; did you mean"),
        (["train.learning_rate=fast"], '[train] learning_rate = "fast": expected a number'),
        ([f"name={'n' * 250}"], "expected at most 240 characters, not 250"),
        (["name=a b"], "expected letters, digits and . _ + = -"),
        (['name="a\nb"'], r'--set name="a\nb": name = '),
        # Data.
        (["data.source=bier"], "no data source is called 'bier'; did you mean 'beir'?"),
        (["data.path=nowhere"], "there is no folder nowhere; expected a BEIR folder: corpus.jsonl, queries.jsonl and"),
        (["data.source=pydocs"], "source = 'pydocs' reads no folder"),
        (["data.candidates=splade"], "has no candidates called 'splade' (expected splade.SPLIT.trec"),
        (["data.stemmer=englisch"], "no stemmer is called 'englisch'; did you mean 'english'?"),
        (["data.max_length=65"], "[data] max_length = 65: "),
        (["data.validation.from=train"], "validation.queries is 200; expected 1 to 19"),
        (["train.negatives=40"], "[train] negatives = 40: the corpus has 40 passages, 1 of them relevant to query"),
        (["teacher.train.negatives=41"], "[teacher.train] negatives = 41: the corpus has 40 passages"),
        # Evaluation.
        (["evaluate.split=tset"], "[evaluate] split = 'tset': the collection has judgements for train, dev, test"),
        (["evaluate.sets.more.split=tset"], "[evaluate.sets.more] split = 'tset': the collection has judgements"),
        (["evaluate.sets.more.data.path=nowhere"], "there is no folder nowhere"),
        (["evaluate.sets.more.measures=[nDGC@10]"], "no measure is called 'nDGC@10'; did you mean 'nDCG'?"),
        (["evaluate.measures=[nDGC@10]"], "no measure is called 'nDGC@10'; did you mean 'nDCG'?"),
        (["train.metric_for_best_model=nDGC@10"], "[train] metric_for_best_model: no measure is called 'nDGC@10'"),
        (["teacher.train.metric_for_best_model=RR@0"], "[teacher.train] metric_for_best_model: measure 'RR@0'"),
        # Models.
        (["student.architecture=bert_dog"], "no student architecture is called 'bert_dog'; did you mean 'bert_dot'?"),
        (["teacher.architecture=bert_dog"], "is called 'bert_dog'; did you mean 'bert_dot'?"),
        (
            ["teacher.model=no/such-model"],
            "the model 'no/such-model' is not a folder here, and the hub cannot be reached",
        ),
        (["teacher.model=package:no_such_package"], "the package 'no_such_package' of package:no_such_package is not"),
        (["student.start=no/such-model"], "the model 'no/such-model' is not a folder here"),
        (["student.source=no/such-model"], "the model 'no/such-model' is not a folder here"),
        (["teacher.fine_tune=fine_tine()"], "[teacher] fine_tune: no strategy is called 'fine_tine'; did you mean"),
        (["teacher.fine_tune=fine_tine()", "strategy.name=fine_tune"], "no strategy is called 'fine_tine'"),
        (["teacher.fine_tune=simplified_tinybert"], "needs a teacher itself; expected fine_tune(...)"),
        # Shapes.
        (["student.shape=L2_H8"], "start = 'first_layers' copies layers, so the student's hidden size must be"),
        (["student.shape=L5_H16"], "start = 'first_layers': the source has 4 layers, not 5"),
        (["student.shape=L3_H16"], "the 4 layers of the teacher cannot be mapped evenly to 3 of the student"),
        (["student.shape=L3_H16", "student.start=random"], "the 4 layers of the teacher cannot be mapped evenly to 3"),
        (["student.shape=L2_H15", "student.start=random"], "L2_H15 is not a multiple of the 2 attention heads"),
        (["grid.student.shape=[L2_H16, L3_H16]"], "the 4 layers of the teacher cannot be mapped evenly to 3"),
        (
            ["student.shape=L2_H8", "student.start=random", "strategy.projection=identity"],
            "states of 8 dimensions need a random projection to the teacher's 16",
        ),
        (["train.fp16=true"], "[train] fp16 = true needs a GPU"),
    ],
)
def test_wrong_input_is_refused(refused: Refused, sets: list[str], message: str) -> None:
    assert message in refused(*sets)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            'name = "x"\n[strategy]\nname = "fine_tune"\n[train]\nlerning_rate = 1\n',
            "x.toml:5: [train] lerning_rate is",
        ),
        (
            'name = "x"\n[data]\nsource = "beir"\n[strategy]\nname = "fine_tune"\n',
            "[data] path is missing; source = 'beir'",
        ),
        ("name = \n", "x.toml: not valid TOML"),
        ('extends = "y.toml"\n', "which "),
        ("", "name is missing"),
    ],
)
def test_wrong_recipes_are_refused(refused: Refused, tmp_path: Path, recipe: str, message: str) -> None:
    (tmp_path / "x.toml").write_text(recipe)
    assert message in refused(recipe=tmp_path / "x.toml")


def empty_corpus(beir: Path) -> str:
    (beir / "corpus.jsonl").write_text("")
    return f"{beir}/corpus.jsonl: there are no passages"


def no_corpus(beir: Path) -> str:
    (beir / "corpus.jsonl").unlink()
    return f"{beir} has no corpus.jsonl (or corpus.jsonl.gz)"


def unknown_passage(beir: Path) -> str:
    path = beir / "qrels/test.tsv"
    # A few that the corpus lacks count as never found; where most are unknown, these are judgements of another corpus.
    path.write_text(path.read_text() + "".join(f"q26\tx{number}\t1\n" for number in range(99)))
    return "x0"


def unknown_query(beir: Path) -> str:
    path = beir / "qrels/train.tsv"
    path.write_text(path.read_text() + "q99\td0\t1\n")
    return f"{path}:22: the query id 'q99' is unknown; expected one of the queries"


def no_train(beir: Path) -> str:
    (beir / "qrels/train.tsv").unlink()
    return "has no train judgements to train on; it has: dev, test"


def nothing_relevant(beir: Path) -> str:
    path = beir / "qrels/train.tsv"
    path.write_text(path.read_text().replace("\t1\n", "\t0\n"))
    return "the training queries have no relevant passage"


def broken_line(beir: Path) -> str:
    path = beir / "queries.jsonl"
    path.write_text(path.read_text() + '{"_id": "q99"}\n')
    return f"{path}:35: the field 'text' is missing"


@pytest.mark.parametrize(
    "damage", [empty_corpus, no_corpus, unknown_passage, unknown_query, no_train, nothing_relevant, broken_line]
)
def test_wrong_data_is_refused(refused: Refused, beir: Path, damage: Callable[[Path], str]) -> None:
    message = damage(beir)
    assert message in refused(f"data.path={beir}")


@pytest.fixture(scope="session")
def others(
    tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path, make_checkpoint: Callable[..., None]
) -> Path:
    """Return a folder of models that do not fit: without a head, with other heads, with another vocabulary."""
    folder = tmp_path_factory.mktemp("others")
    shutil.copytree(tiny_checkpoint, folder / "headless")
    config = json.loads((folder / "headless/config.json").read_text())
    (folder / "headless/config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    make_checkpoint(folder / "four_heads", layers=2, heads=4)
    make_checkpoint(folder / "wide", layers=2, hidden=32)
    (folder / "empty").mkdir()
    return folder


def test_a_teacher_without_a_head_must_be_fine_tuned(refused: Refused, others: Path, tiny_beir: Path) -> None:
    path = others / "bare.toml"
    data = f'[data]\nsource = "beir"\npath = "{tiny_beir}"\nmax_length = 16\n'
    for strategy in ("fine_tune", "simplified_tinybert"):
        path.write_text(f'name = "bare"\n{data}[strategy]\nname = "{strategy}"\n')
        said = refused(f"teacher.model={others}/headless", "student.shape=L2_H16", recipe=path)
        assert "holds no head that scores; fine-tune it first" in said


def test_checkpoints_that_do_not_fit(refused: Refused, others: Path) -> None:
    said = refused(f"student.start={others}/four_heads", "student.shape=L2_H16")
    assert "as many heads in the student as in the teacher, not 4 and 2" in said
    assert "L2_H16, but" in refused(f"student.start={others}/wide", "student.shape=L2_H16")
    assert "has no config.json" in refused(f"teacher.model={others}/empty")


def test_heads_may_differ_where_no_loss_reads_them(cli: Cli, rooms: Path, tiny_recipe: Path, others: Path) -> None:
    sets = (f"student.start={others}/four_heads", "student.shape=L2_H16", "strategy.weights.attention=0")
    overrides = [part for one in sets for part in ("--set", one)]
    outcome = cli("run", tiny_recipe, "--runs-dir", rooms, "--dry-run", *overrides)
    assert outcome.code == 0, outcome.err


def test_the_plan_refuses_what_the_run_refuses(refused: Refused) -> None:
    plan = ("--dry-run",)
    assert "cannot be mapped evenly" in refused("student.shape=L3_H16", options=plan)
    assert "negatives = 40" in refused("train.negatives=40", options=plan)


def test_the_folder_of_runs_must_be_one(cli: Cli, tiny_recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for options in ((), ("--dry-run",)):
        outcome = cli("run", tiny_recipe, "--runs-dir", tmp_path / "file", *options)
        assert outcome == (2, "", f"distilkit: --runs-dir {tmp_path}/file: expected a folder\n")


def test_a_suite_that_is_refused_leaves_no_folder(refused: Refused) -> None:
    assert "cannot be mapped evenly" in refused("name=suite/one", "student.shape=L3_H16")
