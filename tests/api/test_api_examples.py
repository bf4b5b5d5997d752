"""The examples in the docstrings of the public API run, and a notebook's cells can register what they define."""

import doctest
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from registered import restored

import distilkit
from distilkit import UserError, command
from distilkit.models import STUDENTS
from distilkit.plugins import code_of
from distilkit.strategies import STRATEGIES, TERMS

MODULES = [
    "distilkit",
    "distilkit.cli",
    "distilkit.data.collection",
    "distilkit.licences",
    "distilkit.settings",
    *(f"distilkit.api.{path.stem}" for path in sorted((Path(distilkit.__file__).parent / "api").glob("[a-z]*.py"))),
]


@pytest.fixture
def place(finished: Any, tiny_beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be in a folder with the run `tiny` and a collection; leave the registries as they were."""
    shutil.copytree(finished.runs, tmp_path / "runs")
    (tmp_path / "tiny-collection").symlink_to(tiny_beir)
    monkeypatch.chdir(tmp_path)
    with restored():
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    # Every example may use what `import distilkit` offers.
    results = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS, extraglobs={"command": command})
    assert results.failed == 0


def test_every_public_name_has_an_example() -> None:
    without = [
        name
        for name in distilkit.__all__
        if name not in ("__version__", "losses", "push") and not is_kind_of(getattr(distilkit, name), Exception)
        if ">>>" not in (getattr(distilkit, name).__doc__ or "")
    ]
    assert without == []


def is_kind_of(value: object, kind: type) -> bool:
    return isinstance(value, type) and issubclass(value, kind)


CELL = """
from dataclasses import dataclass
import distilkit
from distilkit.strategies.scores import MarginMse

@distilkit.register_strategy("from_a_cell")
@dataclass(frozen=True)
class FromACell(MarginMse):
    "Margin-MSE from a cell."
    factor: float = {factor}
    def twice(self):
        return {factor} * 2
"""


def test_a_cell_that_is_run_again_takes_its_own_place_and_its_code_is_told_by_content(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notebook = ModuleType("notebook_main")  # like __main__ in a notebook: a module without a file
    monkeypatch.setitem(sys.modules, "notebook_main", notebook)
    codes = []
    try:
        for factor in (1.0, 1.0, 3.0):
            exec(compile(CELL.format(factor=factor), "<cell>", "exec"), vars(notebook))
            assert STRATEGIES["from_a_cell"] is notebook.FromACell
            codes.append(code_of(notebook.FromACell))
    finally:
        STRATEGIES._entries.pop("from_a_cell", None)
    assert codes[0] == codes[1] != codes[2]
    assert None not in codes


def test_a_name_that_another_class_has_is_refused() -> None:
    with pytest.raises(ValueError, match="margin_mse"):
        distilkit.register_strategy("margin_mse")(object)
    with pytest.raises(ValueError, match="margin_mse"):
        distilkit.register_loss("margin_mse")(object)
    assert "margin_mse" in TERMS


def test_a_student_inside_a_function_is_refused() -> None:
    class Inside:
        """A student."""

    with pytest.raises(UserError, match="top level"):
        distilkit.register_student("inside")(Inside)  # type: ignore[arg-type]
    assert "inside" not in STUDENTS
