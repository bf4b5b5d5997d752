"""No two classes have one name, so that a name is enough to find what is meant."""

import ast
from collections import defaultdict
from pathlib import Path

import distilkit
import distilkit_tui

# The verb `distilkit run`, whose class gives it its name, and the run that Python gets of it.
TWICE = {"Run"}


def test_each_class_has_a_name_of_its_own() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for package in (distilkit, distilkit_tui):
        for path in Path(str(package.__file__)).parent.rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(str(path))
    assert {name: places for name, places in found.items() if len(places) > 1 and name not in TWICE} == {}
