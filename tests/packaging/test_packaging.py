"""What is installed: the wheel holds distilkit, its recipes and nothing else at the top."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# There need not be a terminal interface to build a wheel.
SOURCES = ("distilkit", "recipes", *(["tui"] if (ROOT / "tui").is_dir() else []))
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the checkout, without build isolation: nothing is fetched."""
    pytest.importorskip("setuptools", minversion="77")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "."], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (path,) = target.glob("*.whl")
    return path


def modules(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.py")}


@pytest.mark.slow
def test_the_wheel_holds_what_the_checkout_does(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    tui = modules(ROOT / "tui")
    expected = modules(ROOT / "distilkit")
    recipes = {str(path.relative_to(ROOT)) for path in (ROOT / "recipes").rglob("*.toml")}
    assert {name.split("/")[0] for name in names - metadata} == {"distilkit"} | ({"distilkit_tui"} if tui else set())
    assert {name for name in names if name.endswith(".py")} == {f"distilkit/{name}" for name in expected} | tui
    assert {name for name in names if name.endswith(".toml")} == {f"distilkit/{name}" for name in recipes}
    assert any(name.endswith("/entry_points.txt") for name in metadata)


@pytest.mark.slow
def test_an_installed_wheel_finds_its_recipes(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import json; from distilkit.recipe import load_recipe, shipped_recipes\n"
        "for path in shipped_recipes().values(): load_recipe(path)\n"
        "print(json.dumps({name: str(path) for name, path in shipped_recipes().items()}))"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    here = (ROOT / "recipes").rglob("*.toml")
    assert set(found) == {str(path.relative_to(ROOT / "recipes").with_suffix("")) for path in here}
    assert all(Path(path).is_relative_to(tmp_path / "distilkit" / "recipes") for path in found.values())


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "distilkit").rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_extras_have_the_names_that_every_pip_understands() -> None:
    import re
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in extras)
    text = "".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "distilkit").rglob("*.py")))
    named = {name.strip() for group in re.findall(r"distilkit\[([^\]%{]+)\]", text) for name in group.split(",")}
    assert named <= set(extras)


def test_every_dependency_has_a_lower_bound_that_is_tried() -> None:
    import runpy

    script = runpy.run_path(str(ROOT / ".ci" / "lower_bounds.py"))
    found = script["lower_bounds"](["demo"], [])
    assert "typer==0.19" in found
    assert "torch==2.6" in found
    assert script["lower_bounds"](["demo"], ["torch==2.13.0"]) == [
        line.replace("torch==2.6", "torch==2.13.0") for line in found
    ]
    assert all(line.count("==") == 1 for line in found)
