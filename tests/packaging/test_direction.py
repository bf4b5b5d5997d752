"""Imports go one way through the house, as docs/design.md says."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import distilkit

ROOT = Path(distilkit.__file__).parent

# From the bottom to the top: a room imports from its own level and from those below it.
LEVELS = [
    [
        "errors",
        "extras",
        "files",
        "licences",
        "manifest",
        "model_card",
        "untrusted",
        "alive",
        "places",
        "problems",
        "tables",
        "option_values",
        "options",
        "registry",
        "plugins",
        "settings",
        "progress",
        "run_folders",
    ],
    ["losses", "models", "data", "packed", "onnx"],
    ["strategies", "recipe", "recipe_keys"],
    ["training", "evaluation", "comparison"],
    ["pipeline"],
    ["scoring", "bench"],
    ["api", "pyterrier"],
    ["serving"],
    ["commands"],
    ["cli", "__main__"],
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


def rooms_of(path: Path) -> Iterator[str]:
    """Yield the rooms that a file imports at run time; what only type checkers read does not count."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [f"{node.module}.{name.name}" for name in node.names] if node.module == "distilkit" else [node.module]
            )
        elif isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("distilkit."))


def files() -> list[tuple[str, Path]]:
    return [(path.relative_to(ROOT).parts[0].removesuffix(".py"), path) for path in sorted(ROOT.rglob("*.py"))]


def test_every_room_has_its_level() -> None:
    assert {room for room, _ in files()} - {"__init__"} == set(LEVEL)


@pytest.mark.parametrize("room", [*LEVEL])
def test_imports_go_down(room: str) -> None:
    found = {
        (str(path.relative_to(ROOT)), other)
        for own, path in files()
        if own == room
        for other in rooms_of(path)
        if LEVEL.get(other, 0) > LEVEL[room]
    }
    assert not found


def test_losses_models_and_training_stay_apart_from_what_uses_them() -> None:
    known = {room: {other for own, path in files() if own == room for other in rooms_of(path)} for room in LEVEL}
    assert known["losses"] <= {"losses"}
    assert not known["training"] & {"run_folders", "pipeline", "evaluation", "comparison"}
    assert not known["comparison"] & {"training", "models", "losses", "strategies", "pipeline"}
    tables = {path for own, path in files() if own == "comparison" and path.parent.name == "tables"}
    assert not any("comparison.render" in path.read_text() for path in tables)
