"""`--audit`: ranges, margins, ties and warnings, and a figure of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilkit.scoring.audit import audit, looks_like_probabilities, plot_audit

TRIPLES = np.array([[0, 2, 0], [1, 3, 3]])


def test_the_figures() -> None:
    found = audit({"big": np.array([4.0, 1.0, -2.0, -2.0], np.float32)}, TRIPLES)
    (one,) = found.systems
    assert (found.pairs, found.triples) == (4, 3)
    assert (one.lowest, one.highest, one.mean) == (-2, 4, 0.25)
    assert (one.ties, one.at_maximum) == (0.5, 0.25)
    assert one.margins is not None
    assert one.margins["mean"] == pytest.approx((3 + 0 + 6) / 3)
    assert (one.positives, one.negatives) == (pytest.approx(2), pytest.approx(-1))
    assert (one.accuracy, one.equal) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert json.loads(json.dumps(found.to_json()))["systems"][0]["name"] == "big"
    assert "accuracy" in found.to_text()


def test_without_triples_there_are_no_margins() -> None:
    found = audit({"big": np.array([4.0, 1.0, -2.5], np.float32)}, None)
    assert found.systems[0].margins is None
    assert found.warnings == ()
    assert "Margins" not in found.to_text()


@pytest.mark.parametrize(
    ("scores", "warned"),
    [([0.0, 0.3, 1.0], True), ([0.2, 0.3], True), ([-0.01, 0.3], False), ([0.5, 1.01], False), ([0.5], False)],
)
def test_probabilities(scores: list[float], warned: bool) -> None:
    assert looks_like_probabilities(np.array(scores, np.float32)) == warned
    found = audit({"big": np.array(scores, np.float32)}, None)
    assert any("lie between 0 and 1, as probabilities do" in warning for warning in found.warnings) == warned


def test_saturation_and_inverted_pairs_are_warned_of() -> None:
    found = audit({"big": np.array([1.0, 9.0, 1.0, 9.0], np.float32)}, TRIPLES)
    assert found.warnings[0].startswith("100% of the pairs share their exact score")
    assert found.warnings[1] == "big scores the positive higher in 0% of the triples only"


@pytest.mark.parametrize("triples", [TRIPLES, None])
def test_the_plot(triples: Any, tmp_path: Path) -> None:
    scores = {"big $x$": np.array([4.0, 1.0, -2.0, -2.0], np.float32), "small": np.zeros(4, np.float32)}
    paths = plot_audit(scores, triples, tmp_path / "scores.tsv")
    assert [path.name for path in paths] == ["scores.tsv.audit.png", "scores.tsv.audit.svg"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    svg = paths[1].read_bytes()
    assert b"<svg" in svg
    plot_audit(scores, triples, tmp_path / "scores.tsv")
    assert paths[1].read_bytes() == svg


def test_the_command(
    cli: Callable[..., Any], teachers: list[Path], triples: Path, tiny_beir: Path, tmp_path: Path
) -> None:
    fixed = ("--triples", triples, "--data", tiny_beir, "--audit")
    models = ("--model", teachers[0], "--model", teachers[1])
    outcome = cli("score", *models, *fixed, "--output", tmp_path / "scores.parquet", "--json")
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    assert [one["name"] for one in said["audit"]["systems"]] == ["one", "two", "ensemble"]
    assert said["audit"]["triples"] == 60
    assert all(Path(path).stat().st_size for path in said["plots"])
    outcome = cli("score", "--model", teachers[0], *fixed, "--output", tmp_path / "scores.tsv")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "Scores of 45 pairs"
    assert "Margins of 60 triples" in lines
    assert lines[-1].startswith("Plots: ")


@pytest.mark.parametrize("name", ["scores.tsv", "scores.parquet"])
def test_what_is_finished_can_be_audited(
    name: str, cli: Callable[..., Any], teachers: list[Path], triples: Path, tiny_beir: Path, tmp_path: Path
) -> None:
    models = ("--model", teachers[0], "--model", teachers[1])
    fixed = ("score", *models, "--triples", triples, "--data", tiny_beir, "--output", tmp_path / name, "--json")
    first = json.loads(cli(*fixed, "--audit").out)
    for path in first["plots"]:
        Path(path).unlink()
    outcome = cli(*fixed, "--audit", "--resume")
    assert outcome.code == 0, outcome.err
    again = json.loads(outcome.out)
    assert again["finished_before"]
    # A TSV holds the ensemble's scores alone.
    systems = first["audit"]["systems"][-1:] if name.endswith("tsv") else first["audit"]["systems"]
    assert again["audit"]["systems"] == systems
    assert (again["audit"]["pairs"], again["audit"]["triples"]) == (45, 60)
    assert set(again["audit"]["warnings"]) <= set(first["audit"]["warnings"])
    assert all(Path(path).is_file() for path in again["plots"])
    text = cli(*fixed[:-1], "--audit", "--resume").out
    assert "Scores of 45 pairs" in text
    assert f"{tmp_path / name} is finished already" in text
    (tmp_path / "scores.tsv").write_text("1\t2\tq\ta\tb\n")
    if name.endswith("tsv"):
        outcome = cli(*fixed, "--audit", "--resume")
        assert outcome.code == 2
        assert "scores.tsv: holds 1 triples, not the 60 of its input" in outcome.err
