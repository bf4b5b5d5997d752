"""A student of one file: trained, evaluated, saved, reloaded, benched and exported like any other."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_processes import run_cli, started
from registered import forget

from distilkit.models.load import architecture_of, load_ranker
from distilkit.models.references import local_folder
from distilkit.recipe import load_recipe

Cli = Callable[..., Any]

PLUGIN = '''
"""A bi-encoder of mean vectors, multiplied by a learned factor."""

from dataclasses import dataclass

import torch

from distilkit.models import STUDENTS, Student
from distilkit.models.encoded import Encoded
from distilkit.models.encoder import last_states
from distilkit.models.macs import SideMacs
from distilkit.models.options import Options
from distilkit.models.ranker import EncoderRanker

STUDENTS.register("mean_dot")(Student("the dot product of mean states", __name__, "MeanDot"))


@dataclass(frozen=True)
class MeanOptions(Options):
    """The factor's first value."""

    factor: float = 1.0


class MeanDot(EncoderRanker):
    """score = f · mean(q) · mean(d)."""

    architecture = "mean_dot"
    options_type = MeanOptions
    targets = {"somewhere": "somewhere.load({folder!r})"}
    interaction = "one dot product"
    storage_unit = "|P|"

    def __init__(self, encoder, options):
        super().__init__(encoder, options)
        self.factor = torch.nn.Parameter(torch.tensor([options.factor]))

    def encode_query(self, batch):
        mask = batch.attention_mask[..., None]
        return Encoded((last_states(self.encoder, batch) * mask).sum(1) / mask.sum(1))

    encode_document = encode_query

    def score_encoded(self, queries, documents):
        return self.factor * (queries.states * documents.states).sum(-1)

    def score_all(self, queries, documents):
        return self.factor * queries.states @ documents.states.T

    def side_macs(self, query_length, document_length):
        return SideMacs(self.macs(query_length), self.macs(document_length), self.hidden_size)

    def macs_without_product(self, query_length, document_length):
        return self.hidden_size
'''


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Path, cli: Cli) -> Iterator[Path]:
    """Return a run's folder, beside its recipe."""
    folder = tmp_path_factory.mktemp("plugged")
    (folder / "mine.py").write_text(PLUGIN)
    recipe = folder / "mine.toml"
    recipe.write_text(f"""\
extends = {json.dumps(str(tiny_recipe))}
name = "mine"
plugins = ["mine.py"]
[student]
architecture = "mean_dot"
[student.options]
factor = 2.0
[strategy]
name = "margin_mse"
[train]
max_steps = 4
[data]
query_length = 8
document_length = 16
[twin]
budget = "none"
""")
    done = cli("run", recipe, "--runs-dir", folder)
    assert done.code == 0, done.err
    yield folder / "mine"
    forget("mean_dot")


def test_it_is_trained_evaluated_and_saved(trained: Path) -> None:
    assert (trained / "eval" / "test" / "run.trec").is_file()
    cost = json.loads((trained / "eval" / "test" / "cost.json").read_text())
    assert cost["bytes_per_document"] == 2 * 16
    ranker: Any = load_ranker(trained / "model")
    assert (ranker.architecture, ranker.options.factor) == ("mean_dot", 2.0)
    assert ranker.factor.item() != 2.0
    entry = json.loads((trained / "model" / "config.json").read_text())["distilkit"]
    assert (entry["query_length"], entry["document_length"]) == (8, 16)


def test_it_is_benched(trained: Path, cli: Cli) -> None:
    words = (
        "--queries",
        "3",
        "--depth",
        "6",
        "--batch-sizes",
        "4",
        "--warm-up",
        "1",
        "--lengths",
        "5 9",
        "--bf16",
        "false",
    )
    done = cli("bench", trained, *words, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["model"]["architecture"], found["model"]["trained"]) == ("mean_dot", True)
    assert found["macs"]["pair"]["agrees"]
    assert found["table_1"]["storage"] == "|P|"
    assert found["table_1"]["nn_index"]


def test_it_is_exported(trained: Path, cli: Cli, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = cli("export", trained, "--format", "somewhere", "--output", output)
    assert done.code == 0, done.err
    assert f"load it with somewhere.load({str(output)!r})" in done.out
    before, after = load_ranker(trained / "model").state_dict(), load_ranker(output).state_dict()
    for name, weight in before.items():
        torch.testing.assert_close(after[name], weight, rtol=0, atol=0)
    refused = cli("export", trained, "--format", "pylate", "--output", tmp_path / "other")
    assert "is a mean_dot, and it takes somewhere" in refused.err


def test_another_student_starts_from_its_encoder(trained: Path) -> None:
    from distilkit.models.initialise import student_from

    student: Any = student_from(local_folder(str(trained / "model")), architecture="bert_dot", start="first_layers")
    theirs: Any = load_ranker(trained / "model")
    assert torch.equal(student.encoder.get_input_embeddings().weight, theirs.encoder.get_input_embeddings().weight)


def test_its_code_is_in_the_key(trained: Path, cli: Cli) -> None:
    def key(name: str) -> str:
        forget("mean_dot")
        recipe, runs = trained.parent / "mine.toml", trained.parent
        done = cli("run", recipe, "--runs-dir", runs, "--name", name, "--dry-run", "--json", "--allow-plugins")
        assert done.code == 0, done.err
        return str(json.loads(done.out)["stages"][-1]["key"])

    file = trained.parent / "mine.py"
    before = key("again")
    file.write_text(PLUGIN.replace("self.factor * (", "2 * self.factor * ("))
    assert key("changed") != before
    file.write_text(PLUGIN)
    assert key("as-before") == before


@pytest.mark.slow
def test_without_the_plugin_its_name_is_unknown(trained: Path, tmp_path: Path, cli: Cli) -> None:
    forget("mean_dot")
    done = cli("export", trained, "--format", "transformers", "--output", tmp_path / "out")
    assert (done.code, done.out) == (2, "")
    assert "no student architecture is called 'mean_dot'" in done.err
    # An installed package brings it to every verb.
    (tmp_path / "site" / "mean_dot-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "site" / "mean_dot_package.py").write_text(PLUGIN)
    info = tmp_path / "site" / "mean_dot-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mean-dot\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[distilkit.strategies]\nmean_dot = mean_dot_package\n")
    words = ["export", str(trained), "--format", "somewhere", "--output", str(tmp_path / "out")]
    with started(run_cli, words, None, tmp_path / "site", folder=tmp_path / "said") as process:
        assert process.wait() == 0, process.stderr
    load_recipe(trained.parent / "mine.toml", trust=lambda table, plugins: None)  # in this process from the file again
    assert architecture_of(tmp_path / "out") == "mean_dot"
