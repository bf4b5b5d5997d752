"""The prepared run for a GPU, in miniature: parts end within their time, and leave what they had."""

import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the benchmarks are not part of the package

from benchmarks.gpu_session import __main__ as session  # noqa: E402
from benchmarks.gpu_session import parts, world  # noqa: E402
from benchmarks.harness import Goal, Row, Spread  # noqa: E402
from distilkit.recipe import resolved  # noqa: E402
from distilkit.settings import Recipe  # noqa: E402
from distilkit.strategies import STRATEGIES  # noqa: E402


def asked(tmp_path: Path) -> Namespace:
    return Namespace(output=tmp_path, teacher="none", dry=True)


def test_every_strategy_and_student_is_trained(tmp_path: Path) -> None:
    found = list(world.combinations(dry=False))
    assert {one.strategy for one in found} >= set(STRATEGIES)
    assert {one.student for one in found} == set(world.LAYERS)
    for one in found:
        table = world.recipe(tmp_path, one, "teacher", world.FULL, bf16=True)
        assert resolved(Recipe.model_validate(table))["train"]["max_steps"] == world.STEPS


def test_the_parts_that_need_no_training(tmp_path: Path) -> None:
    rows = [row for name in ("rates", "kernel") for row in parts.PARTS[name][0](parts.Asked(tmp_path, "none", True))]
    assert len(rows) == 5
    assert all(row.reached is not False for row in rows), rows


def test_a_part_that_takes_too_long_is_cut_off_and_one_that_fails_says_why(tmp_path: Path) -> None:
    assert session.run_part(asked(tmp_path), "rates", 0.2).startswith("cut off after 0 s")
    assert "failed with" in session.run_part(asked(tmp_path), "train-gpu", 60)  # there is no training of the CPU's


def test_the_report_has_what_there_is(tmp_path: Path) -> None:
    rows = [Row("a", Spread.of([1.0, 2.0, 3.0]), "x", Goal(at_least=1.5), "by hand"), Row("b", Spread.of([0.5]), " s")]
    (tmp_path / "peers.jsonl").write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows))
    (tmp_path / "peers.state").write_text("cut off after 60 s")
    text = session.report(tmp_path)
    assert "| peers | a | 2x [1..3] | at least 1.5 | yes |" in text
    assert "| peers | b | 0.5 s | – | – |" in text
    assert "- peers: cut off after 60 s" in text
    assert "- peers, a: by hand" in text


@pytest.mark.parametrize("dry", [True, False])
def test_the_collection_is_the_same_every_time(tmp_path: Path, dry: bool) -> None:
    size = world.DRY if dry else world.FULL
    for name in ("one", "two"):
        world.write_collection(tmp_path / name, size)
    files = [
        sorted(path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()) for name in ("one", "two")
    ]
    assert files[0] == files[1]
