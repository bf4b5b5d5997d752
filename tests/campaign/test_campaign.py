"""A small part of every campaign; `python -m tests.campaign` is the whole."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # `tests.campaign` is found from there, as `python -m` finds it

from tests.campaign.__main__ import main  # noqa: E402

KINDS = {"kills": 3, "power": 2, "damage": 3, "changed": 3, "fuzz": 1, "soak": 1}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_small_campaign(kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # In this process: the server that its commands are forked from has imported everything for other tests too.
    monkeypatch.setattr(sys, "argv", ["campaign", kind, "--count", str(KINDS[kind]), "--seed", "7"])
    code, said = main(), capsys.readouterr().out
    assert code == 0, said
    assert said.count(f"ok    {kind} ") == KINDS[kind]


def test_a_kind_that_there_is_not() -> None:
    command = [sys.executable, "-m", "tests.campaign", "kils"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there is no 'kils'; expected kills, power, damage, changed, fuzz, soak" in done.stderr


def test_a_trial_that_goes_wrong_is_told_and_repeatable(tmp_path: Path) -> None:
    broken = (
        "import sys; sys.argv = ['campaign', 'kills', '--count', '2', '--seed', '5']\n"
        "import tests.campaign.__main__ as campaign\n"
        "from types import SimpleNamespace\n"
        "def trial(place, random, folder):\n"
        "    raise AssertionError(f'drawn {random.random():.6f}')\n"
        "if __name__ == '__main__':\n"
        "    campaign.KINDS['kills'] = trial\n"
        "    campaign.Place = lambda folder: SimpleNamespace(folder=folder)  # whose rankers no trial reads\n"
        "    sys.exit(campaign.main())\n"
    )
    (tmp_path / "broken.py").write_text(broken)
    command = [sys.executable, str(tmp_path / "broken.py")]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("WRONG kills ") == 2
    assert "again: python -m tests.campaign kills --seed 5 --only 1" in done.stdout
