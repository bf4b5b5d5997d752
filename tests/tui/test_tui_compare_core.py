"""What the comparison screen is made of, without a screen: the command line's own result, queries, texts, costs."""

import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from comparing_runs import change, results

from distilkit.comparison.compare import with_margin
from distilkit.comparison.result import ComparisonResult
from distilkit.data.sources import BeirSource
from distilkit.errors import UserError
from distilkit_tui.core.comparing import CORRECTIONS, Question, answer, caveat, points, read
from distilkit_tui.core.facts import ABSENT, side_by_side
from distilkit_tui.core.queries import differences, query_texts, sides
from distilkit_tui.core.store import RunStore
from distilkit_tui.keys import KEYS, bindings
from distilkit_tui.screens.compare import CompareScreen
from distilkit_tui.screens.launch import LaunchScreen

RUNS = ("distilled", "one_layer")
COLUMN = ("test", "nDCG@10")


@pytest.fixture
def runs(tmp_path: Path, tiny_beir: Path) -> Path:
    return results(tmp_path / "runs", tiny_beir)


@pytest.fixture
def result(runs: Path) -> ComparisonResult:
    return answer(read(RUNS, runs), Question())


@pytest.mark.parametrize(
    "question",
    [
        Question(),
        Question(baselines=("bm25", "teacher"), correction="none", test="wilcoxon"),
        Question(margin=0.1, margin_kind="absolute", equivalence=True),
        Question(pairs="all", correction="bh", test="permutation", margin=0.0),
    ],
)
def test_the_result_is_the_command_lines(question: Question, runs: Path, cli: Any) -> None:
    reading = read(RUNS, runs)
    found = answer(reading, question)
    words = shlex.split(question.command(reading.runs, runs))
    assert words[:2] == ["distilkit", "compare"]
    said = cli(*words[1:], "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out) == json.loads(json.dumps(found.to_json()))


@pytest.mark.parametrize("equivalence", [False, True])
def test_a_margin_changed_live_gives_what_asking_anew_gives(equivalence: bool, runs: Path) -> None:
    reading, question = read(RUNS, runs), Question(equivalence=equivalence, pairs="all")
    found = answer(reading, question)
    for margin, kind in [(0.0, "relative"), (0.4, "relative"), (0.05, "absolute")]:
        question = replace(question, margin=margin, margin_kind=kind)
        assert with_margin(found, margin, kind) == answer(reading, question)
    assert {one.non_inferior for one in with_margin(found, 0.45, "absolute").comparisons} == {True, False}


def test_questions_go_round() -> None:
    question = Question(margin=0.0)
    assert question.wider(-1).margin == 0.0
    assert question.wider(3).margin == 0.03
    assert question.wider(1000).margin == 0.5
    for _ in CORRECTIONS:
        question = question.next_correction()
    assert question == Question(margin=0.0)
    tests = []
    for _ in range(4):
        question = question.next_test()
        tests.append(question.test)
    assert len(set(tests)) == 4


def test_what_runs_bring_along_and_what_has_no_results_yet(runs: Path) -> None:
    shutil.rmtree(runs / "one_layer" / "eval")
    reading = read(RUNS, runs)
    assert [one.name for one in reading.systems] == ["bm25", "teacher", "distilled-label_only", "distilled"]
    assert reading.names == {"distilled": "distilled"}
    assert reading.left_out == ("one_layer",)
    with pytest.raises(UserError, match="no marked run has results yet"):
        read(["one_layer"], runs)
    # Baselines that are not there any more are those of the command line then.
    assert answer(reading, Question(baselines=("gone",))).baselines == ("teacher",)


def test_differences_add_up_to_the_comparison(result: ComparisonResult) -> None:
    found = differences(result, COLUMN, "one_layer", "teacher")
    wanted = ("one_layer", "teacher", "nDCG@10")
    one = next(one for one in result.comparisons if (one.system, one.baseline, one.measure) == wanted)
    assert len(found) == one.n == 8
    assert sum(difference.amount for difference in found) / 8 == pytest.approx(one.mean_difference)
    assert [difference.amount for difference in found] == sorted((d.amount for d in found), reverse=True)
    assert sum(difference.amount > 0 for difference in found) == one.wins
    assert differences(result, COLUMN, "one_layer", "nobody") == []


def test_two_rankings_with_judgements_texts_and_places(result: ComparisonResult, runs: Path) -> None:
    query = "q26"
    assert query_texts(result, COLUMN, [query, "nope"]) == {query: "what planet cold"}
    one, other = sides(result, COLUMN, ("bm25", "one_layer"), query)
    assert one.hits is not None
    assert other.hits is not None
    assert [hit.rank for hit in one.hits] == list(range(1, 11))
    assert [hit.score for hit in one.hits] == sorted((hit.score for hit in one.hits), reverse=True)
    relevant = [hit for hit in one.hits if hit.grade is not None]
    assert [(hit.document, hit.grade, hit.judged, hit.text) for hit in relevant] == [
        ("d26", 1, "● relevant 1", "the deep planet of cold planet")
    ]
    there = next(hit for hit in other.hits if hit.document == "d26")
    assert relevant[0].other == there.rank
    assert there.other == relevant[0].rank
    assert {hit.document for hit in one.hits} == {hit.document for hit in other.hits}


def test_texts_come_from_the_collection_of_the_run_alone(result: ComparisonResult, runs: Path, tiny_beir: Path) -> None:
    artifacts = runs / ".artifacts" / "collection"
    copy = shutil.copytree(tiny_beir, runs.parent / "tiny")
    corpus = copy / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace("the deep planet", "another text"))
    other = artifacts / "4567" / "content"
    other.mkdir(parents=True)
    BeirSource(copy).write(other)
    _, side = sides(result, COLUMN, ("bm25", "one_layer"), "q26")
    assert "the deep planet of cold planet" in {hit.text for hit in side.hits or ()}
    # A set with data of its own says not which collection it is: with two that fit there are no texts.
    record = json.loads((runs / "distilled" / "run.json").read_text())
    record["resolved"]["evaluate"]["sets"] = {"test": {"data": {"path": "elsewhere"}}}
    change(runs / "distilled" / "run.json", **record)
    again = answer(read(["distilled"], runs), Question())
    assert query_texts(again, COLUMN, ["q26"]) == {}
    shutil.rmtree(artifacts / "4567")
    assert query_texts(again, COLUMN, ["q26"]) == {"q26": "what planet cold"}
    (artifacts / "0123" / "content" / "manifest.json").write_text("{")
    assert query_texts(again, COLUMN, ["q26"]) == {"q26": "what planet cold"}  # opened before
    shutil.rmtree(artifacts)
    assert query_texts(again, COLUMN, ["q26"]) == {}


def test_the_frontier_and_who_dominates(result: ComparisonResult) -> None:
    found = {one.name: one for one in points(result, COLUMN, "macs")}
    assert next(iter(found)) == "one_layer"
    assert list(found)[-1] == "bm25"
    assert found["one_layer"].dominated == ""
    assert found["distilled"].dominated == found["teacher"].dominated == "one_layer"
    assert found["bm25"].dominated == ""
    assert found["one_layer"].costs["macs"] == 57344
    costed = [one for one in found.values() if one.costs["macs"]]
    for one in costed:
        as_cheap = [other for other in costed if other.costs["macs"] <= one.costs["macs"] and other is not one]
        assert bool(one.dominated) == any(other.mean >= one.mean for other in as_cheap)


def test_times_of_two_sessions_or_depths_are_not_held_against_each_other(runs: Path) -> None:
    def said(**sessions: str) -> str:
        for run, session in sessions.items():
            for place in ("", "references/teacher"):
                if (runs / run / "eval" / "test" / place).is_dir():
                    change(runs / run / "eval" / "test" / place / "cost.json", latency={"session": session})
        return caveat(answer(read(RUNS, runs), Question()), COLUMN)

    one = {"distilled": "a", "distilled-label_only": "a", "one_layer": "a"}
    assert said(**{**one, "one_layer": "b"}).startswith("timed not together: press t")
    assert said(**one) == ""
    change(runs / "one_layer" / "eval" / "test" / "cost.json", depth=20)
    assert said().startswith("timed at depths 10, 20: press t")


def test_configurations_side_by_side(runs: Path) -> None:
    entries = RunStore(runs).poll().entries
    three = [entries[name] for name in ("distilled", "one_layer", "distilled-label_only")]
    changed = side_by_side(three, only_changed=True)
    assert changed["student.shape"] == ["L2_H16", "L1_H16", "L2_H16"]
    assert changed["strategy.temperature"] == ["1.0", "4.0", ABSENT]
    assert "data.max_length" not in changed
    assert "name" not in changed
    every = side_by_side(three, only_changed=False)
    assert every["data.max_length"] == ["16", "16", "16"]
    assert set(changed) < set(every)
    assert side_by_side(three[:1], only_changed=True).keys() == side_by_side(three[:1], only_changed=False).keys()
    assert side_by_side([], only_changed=True) == {}


def test_every_key_does_something_and_the_screens_do_without_torch() -> None:
    for place, owner in {"launch": LaunchScreen, "compare": CompareScreen}.items():
        for binding in bindings(place):
            action = binding.action.partition("(")[0]
            assert callable(getattr(owner, f"action_{action}", None)), f"{place}: {binding.key} -> {action}"
        keys = [key for row in KEYS[place][1] for key in row.keys.split(",")]
        assert len(keys) == len(set(keys))
    code = "import sys; from distilkit_tui.screens import compare, launch; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "matplotlib"} & set(found)
