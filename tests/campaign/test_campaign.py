"""A small part of every campaign; `python -m tests.campaign` is the whole."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KINDS = {"kills": 3, "power": 2, "damage": 3, "changed": 3, "fuzz": 1, "soak": 1}


def campaign(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tests.campaign", *words], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_small_campaign(kind: str) -> None:
    done = campaign(kind, "--count", str(KINDS[kind]), "--seed", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(f"ok    {kind} ") == KINDS[kind]


def test_a_kind_that_there_is_not() -> None:
    done = campaign("kils")
    assert done.returncode == 2
    assert "there is no 'kils'; expected kills, power, damage, changed, fuzz, soak" in done.stderr


@pytest.mark.slow
def test_a_trial_that_goes_wrong_is_told_and_repeatable(tmp_path: Path) -> None:
    broken = (
        "import sys; sys.argv = ['campaign', 'kills', '--count', '2', '--seed', '5']\n"
        "import tests.campaign.__main__ as campaign\n"
        "def trial(place, random, folder):\n"
        "    raise AssertionError(f'drawn {random.random():.6f}')\n"
        "if __name__ == '__main__':\n"
        "    campaign.KINDS['kills'] = trial\n"
        "    sys.exit(campaign.main())\n"
    )
    (tmp_path / "broken.py").write_text(broken)
    command = [sys.executable, str(tmp_path / "broken.py")]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("WRONG kills ") == 2
    assert "again: python -m tests.campaign kills --seed 5 --only 1" in done.stdout
