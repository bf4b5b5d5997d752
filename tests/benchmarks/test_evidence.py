"""The papers' tables from fabricated runs: figures, verdicts, the choice of a method, and pages between markers."""

import json
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the benchmarks are not part of the package
sys.path.insert(0, str(ROOT / "tests/comparison"))  # where run folders are fabricated

from finished_runs import QRELS, budget, ranked, write_place, write_record  # noqa: E402

from benchmarks.evidence import __main__ as evidence  # noqa: E402
from benchmarks.evidence import claims, measured, pages, tables  # noqa: E402
from distilkit.evaluation.trec import write_qrels  # noqa: E402
from distilkit.pipeline.suite import members  # noqa: E402
from distilkit.recipe import load_recipe  # noqa: E402

SUITE, STUDENT = "understanding_table1", "bert_cat:L2_H192"
SKILLS = {"ranker_distill": 0.2, "lm_distill_fine_tune(listwise=1.0)": 0.9, "lm_distill_ranker_distill": 2.0}


def fabricate(runs: Path, skills: dict[str, float], done: bool = True) -> Path:
    """Write a suite of three strategies and two seeds, whose students rank with the skills given."""
    told: list[dict[str, Any]] = []
    for strategy, skill in skills.items():
        for seed in (1, 2):
            name = f"{SUITE}/{strategy.partition('(')[0]}-L2-teacher-seed{seed}"
            teacher = "none" if strategy.startswith("fine_tune") else "teacher"
            told.append({"name": name, "strategy": strategy, "student": STUDENT, "teacher": teacher, "seed": seed})
            home = runs / name / "eval/test"
            seconds = {"general": 50.0, "distil": 100.0 * skill}
            place = {"training_seconds": seconds, "budget": budget(900, 1e12, sum(seconds.values()), more=True)}
            write_place(home, ranked(skill, f"{strategy} {seed}"), parameters=1, macs_per_pair=1, **place)
            write_qrels(home / "qrels.tsv", QRELS)
            write_place(home / "references/bm25", ranked(0.5, "bm25"), parameters=0, macs_per_pair=0)
            write_place(home / "references/teacher", ranked(2.5, "teacher"), parameters=2, macs_per_pair=2)
            points = [{"examples": pairs, "nDCG@10": seed * skill * pairs / 1e4} for pairs in (1000, 2000)]
            (runs / name / "curve.json").write_text(json.dumps({"teacher": 0.66, "points": points}))
            resolved = {"name": name, "seed": seed, "strategy": {"name": strategy}}
            made = {"host": {"cpu": "a processor", "cores": 2}, "precision": {"training": "fp32", "evaluation": "bf16"}}
            write_record(runs / name, name, seed=seed, student=STUDENT, resolved=resolved, **made)
            state = "done" if done or seed == 1 else "crashed"
            (runs / name / "status.json").write_text(json.dumps({"state": state}))
    suite = {
        "name": SUITE,
        "runs": told,
        "recipe": {"matrix": {"strategies": [one for one in skills if not one.startswith("fine_tune")]}},
        "report": {"baselines": ["teacher:B"], "correction": "holm", "depths": []},
    }
    (runs / SUITE / "suite.json").write_text(json.dumps(suite))
    return runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fabricate(tmp_path_factory.mktemp("evidence"), SKILLS)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for page in (pages.RESULTS, pages.EVIDENCE, pages.GUIDE):
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    return tmp_path


def means(runs: Path) -> dict[str, float]:
    (result,) = measured.read(runs, SUITE).results.values()
    return {one.name: one.mean for one in result.systems if one.measure == "nDCG@10"}


def test_the_tables_hold_the_runs_figures(runs: Path, checkout: Path) -> None:
    evidence.write(runs, checkout)
    text = (checkout / pages.RESULTS).read_text()
    ours = text.partition(f"<!-- evidence: {SUITE} -->")[2].partition("<!-- end of evidence")[0]
    for name, mean in means(runs).items():
        row = next(line for line in ours.splitlines() if line.startswith(f"| {name} |"))
        assert f"{mean:.4f}" in row
    assert "test queries ± the standard deviation over 2 seeds" in text
    assert f"| {STUDENT} | lm_distill_ranker_distill | 50 | 200 |" in text
    assert f"| {STUDENT} | teacher | 0.6600 | 0.6600 |" in ours
    assert f"| {STUDENT} | lm_distill_ranker_distill | 0.3000 | 0.6000 |" in ours
    assert text.count("Machine: 2 cores of a processor, training in fp32, evaluation in bf16.") == 1
    # Suites without runs stay as they are, and so does all that stands outside of the markers.
    before = (ROOT / pages.RESULTS).read_text()
    for other in set(claims.PAPERS) - {SUITE}:
        start, end = f"<!-- evidence: {other} -->", f"<!-- end of evidence: {other} -->"
        assert text[text.index(start) : text.index(end)] == before[before.index(start) : before.index(end)]
    assert (
        text.partition("## A query's candidates")[2]
        == (ROOT / pages.RESULTS).read_text().partition("## A query's candidates")[2]
    )


def test_a_system_has_one_name_in_all_tables(tmp_path: Path) -> None:
    found = measured.read(fabricate(tmp_path, {"fine_tune(ranknet=1.0)": 0.3, "margin_mse": 0.9}), SUITE)
    names = {one.name for one in found.results[STUDENT].systems if one.kind == "run"}
    assert names == {"no teacher", "margin_mse"}
    assert {system for _, system in found.seconds} == names
    assert {system for _, system in found.curves} == {*names, "teacher"}


def test_a_claim_holds_where_the_difference_is_sure(runs: Path) -> None:
    found = measured.read(runs, SUITE, claims.baselines(SUITE))
    told = {claim.words: next(claims.verdicts(claim, found)) for claim in claims.CLAIMS if claim.suite == SUITE}
    holds = told["distilling the ranker needs general distillation before"]
    assert (holds.student, holds.holds) == (STUDENT, "holds")
    difference, p, corrected, _ = holds.figures
    assert difference.startswith("+0.")
    assert float(p.removeprefix("< ")) <= float(corrected.removeprefix("< ")) < 0.05


def test_the_other_way_round_is_said(tmp_path: Path) -> None:
    skills = dict(zip(SKILLS, (2.0, 0.9, 0.2), strict=True))
    found = measured.read(fabricate(tmp_path, skills), SUITE, claims.baselines(SUITE))
    first, second, third = (next(claims.verdicts(one, found)) for one in claims.CLAIMS if one.suite == SUITE)
    assert first.holds == "does not hold: the other way round"
    assert second.holds.startswith("does not hold")
    assert third.holds == "does not hold"


@pytest.mark.parametrize(
    ("fixed", "words"),
    [(0.01, "holds for these models, not shown for other seeds"), (0.2, "holds in direction, not shown")],
)
def test_a_claim_may_hold_for_the_trained_models_alone(runs: Path, fixed: float, words: str) -> None:
    found = measured.read(runs, SUITE, claims.baselines(SUITE))
    (claim, *_) = (one for one in claims.CLAIMS if one.suite == SUITE)
    result = found.results[STUDENT]
    unsure = [replace(one, p_adjusted=0.3, fixed_seeds_p_adjusted=fixed) for one in result.comparisons]
    (verdict,) = claims.verdicts(claim, replace(found, results={STUDENT: replace(result, comparisons=unsure)}))
    assert (verdict.holds, verdict.figures[2:]) == (words, ("0.3", f"{fixed:.2g}"))


def test_the_tables_of_a_suite_that_is_not_finished_stay(
    tmp_path: Path, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fabricate(tmp_path / "runs", SKILLS, done=False)
    evidence.write(tmp_path / "runs", checkout)
    for page in (pages.RESULTS, pages.EVIDENCE, pages.GUIDE):
        assert (checkout / page).read_text() == (ROOT / page).read_text()
    told = capsys.readouterr().err
    assert f"{SUITE}: not yet measured at this size: 3 of 6 runs are done; its tables stay as they are" in told
    assert told.count("no run yet") == 3


def test_the_choice_of_a_method_is_drawn_by_cost(runs: Path, checkout: Path) -> None:
    evidence.write(runs, checkout)
    guide = (checkout / pages.GUIDE).read_text()
    assert f"- **{STUDENT}**: `lm_distill_ranker_distill` is best" in guide
    assert " with the teacher's)" in guide
    drawn = (checkout / pages.PLOTS / f"{SUITE}.svg").read_text()
    assert "<svg" in drawn
    assert f"(evidence/{SUITE}.svg)" in (checkout / pages.EVIDENCE).read_text()
    assert {one.method for one in tables.choices(measured.read(runs, SUITE))} == set(SKILLS)


def test_a_page_without_markers_is_told() -> None:
    with pytest.raises(ValueError, match="the page has no markers for 'choice'"):
        pages.between_markers("text", "choice", "more")


@pytest.mark.parametrize("suite", claims.PAPERS)
def test_claims_are_of_systems_that_the_suites_have(suite: str) -> None:
    recipe = load_recipe(suite)
    known = {"teacher", "no teacher"}
    for member in members(recipe):
        known |= {member.strategy, f"{member.strategy}, {member.teacher}"}
    asked = {name for one in claims.CLAIMS if one.suite == suite for name in (one.system, one.baseline)}
    assert asked <= known
    assert recipe.matrix is not None
    assert recipe.matrix.seeds is None  # three by default


@pytest.mark.parametrize("bf16", ["false", "auto"])
def test_the_command_goes_on_with_a_suite(bf16: str) -> None:
    words = evidence.command(SUITE, Path("runs"), 2, bf16)
    assert words[1:4] == ["-m", "distilkit", "run"]
    assert "--resume" in words
    tables = ("train", "teacher.train", "evaluate")
    assert {"matrix.jobs=2", *(f"{table}.bf16={bf16}" for table in tables)} <= set(words)


LISTENS = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))\n"
DOES_NOT_YET = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
WAITS = "import pathlib, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)\n"


@pytest.mark.parametrize("begins", [LISTENS, DOES_NOT_YET])
def test_a_signal_to_stop_reaches_the_suite_and_no_other_is_begun(
    begins: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = tmp_path / "started"

    def waits(*_: object) -> list[str]:
        return [sys.executable, "-c", begins + WAITS, str(started)]

    def stop() -> None:
        while not started.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(evidence, "command", waits)
    monkeypatch.setattr(evidence, "write", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["evidence", "--only", "margin_mse_table2", "margin_mse_table3"])
    thread = threading.Thread(target=stop)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # that of the tests' own process would end it
    try:
        thread.start()
        assert evidence.main() == 1
        thread.join()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    out, err = capsys.readouterr()
    assert out == "evidence: margin_mse_table2\n"
    assert err == "evidence: margin_mse_table2 did not finish; the same command goes on with it\n"
