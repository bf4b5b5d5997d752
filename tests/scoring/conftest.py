"""Triples and pairs of the tiny collection, and two rankers to score them with."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def teachers(tmp_path_factory: pytest.TempPathFactory, make_checkpoint: Callable[..., None]) -> list[Path]:
    """Return two random rankers that disagree."""
    folder = tmp_path_factory.mktemp("teachers")
    for number, name in enumerate(("one", "two"), start=1):
        make_checkpoint(folder / name, layers=number, seed=number)
        spread(folder / name / "model.safetensors")
    return [folder / "one", folder / "two"]


def spread(path: Path) -> None:
    """Make matrices so large that the scores of different texts differ as a trained ranker's do."""
    from safetensors.torch import load_file, save_file

    weights = {name: weight * 10 if weight.dim() == 2 else weight for name, weight in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})


@pytest.fixture(scope="session")
def triples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 60 triples by ids of 45 pairs that differ: positives repeat, and one line comes twice."""
    rows = [
        (f"q{query}", f"d{query}", f"d{query + 20 + step}") for query, step in itertools.product(range(15), range(2))
    ]
    path = tmp_path_factory.mktemp("triples") / "triples.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in [*rows, *reversed(rows)]))
    return path


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 8 pairs, one of them twice."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.tsv"
    path.write_text("".join(f"q{number % 4}\td{number % 8}\n" for number in range(9)))
    return path
