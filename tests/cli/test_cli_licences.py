"""The licence of a student: a recipe's key, an option of export and push, and a line that the hub takes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard as HubCard

from distilkit.errors import UserError
from distilkit.files import read_json, write_json
from distilkit.manifest import SEAL, sealed
from distilkit.model_card import ModelCard
from distilkit.pipeline.card import card_of
from distilkit.recipe import read_table
from distilkit.run_folders.read import StoredRun

Cli = Callable[..., Any]


@pytest.fixture
def licensed(finished: Any, tmp_path: Path) -> Path:
    """Return a finished run whose recipe names a licence."""
    run = shutil.copytree(finished.run, tmp_path / "runs/tiny")
    _change(run, "resolved", "license", "cc-by-4.0")
    return run


def _change(run: Path, table: str, key: str, value: str) -> None:
    """Set a key of run.json, as if the run had been started with it."""
    record = read_json(run / "run.json")
    record.pop(SEAL, None)
    record[table][key] = value
    write_json(run / "run.json", sealed(record))


def licence_of(folder: Path) -> object:
    return HubCard((folder / "README.md").read_text()).data.license


def test_the_card_has_the_licence_of_the_recipe(licensed: Path) -> None:
    own = ModelCard.read(licensed / "model")
    assert own is not None
    assert HubCard(card_of(StoredRun(licensed), own).to_text()).data.license == "cc-by-4.0"


@pytest.mark.parametrize("format_", ["transformers", "onnx"])
def test_an_export_carries_the_licence_on(format_: str, licensed: Path, cli: Cli, tmp_path: Path) -> None:
    if format_ == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    options = ("--runs-dir", licensed.parent, "--format", format_, "--output")
    assert cli("export", "tiny", *options, tmp_path / "carried").code == 0
    assert licence_of(tmp_path / "carried") == "cc-by-4.0"
    assert cli("export", "tiny", *options, tmp_path / "given", "--license", "mit").code == 0
    assert licence_of(tmp_path / "given") == "mit"


@pytest.mark.parametrize(
    "arguments",
    [("export", "tiny", "--format", "transformers", "--output", "out"), ("push", "tiny", "--to", "me/x", "--yes")],
)
def test_the_hub_knows_no_other_licence(arguments: tuple[str, ...], licensed: Path, cli: Cli) -> None:
    found = cli(*arguments, "--runs-dir", licensed.parent, "--license", "apache2")
    assert found.code == 2
    assert found.err == (
        "distilkit: --license apache2: the hub knows no licence 'apache2'; did you mean 'apache-2.0'?\n"
    )


def test_a_recipe_names_a_licence_of_the_hub() -> None:
    table = {"name": "x", "strategy": {"name": "fine_tune"}, "license": "Apache 2"}
    with pytest.raises(UserError, match=r"the hub knows no licence 'Apache 2'; did you mean 'apache-2\.0'"):
        read_table(table, [])


@pytest.mark.parametrize(("name", "listed"), [("my-data.2", ["my-data.2"]), ("my own data", None)])
def test_the_front_matter_names_data_sets_that_the_hub_takes(
    name: str, listed: list[str] | None, licensed: Path
) -> None:
    _change(licensed, "data", "name", name)
    found = HubCard(card_of(StoredRun(licensed), ModelCard({}, "x", "text")).to_text()).data
    assert found.datasets == listed
    assert found.eval_results[0].dataset_name == name
