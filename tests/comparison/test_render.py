"""The formats: readable text at 100 columns, Markdown and CSV that survive any name, JSON for scripts."""

import csv
import io
import json

import numpy as np
import pytest
from rich.cells import cell_len

from distilkit.comparison.compare import compare
from distilkit.comparison.render import Screen, formats, render
from distilkit.comparison.render.markdown import escaped
from distilkit.comparison.systems import System
from distilkit.comparison.wording import visible
from distilkit.errors import UserError
from distilkit.tables import csv_cell

QUERIES = [f"q{number}" for number in range(30)]
NASTY = "[bold]x[/bold] |pipe| \x1b[31m *s* <b> \u202e\ud800"


def result(names=("bm25", "teacher", "student"), measures=("nDCG@10", "RR(rel=2)@10"), **options):
    random = np.random.default_rng(11)
    base = random.uniform(0.2, 0.7, 30)
    systems = [
        System(
            name,
            {
                measure: dict(zip(QUERIES, (base + 0.1 * place + random.normal(0, 0.05, 30)).tolist(), strict=True))
                for measure in measures
            },
        )
        for place, name in enumerate(names)
    ]
    return compare(systems, **options)


def test_the_text_says_it_all():
    text = render(result(eval_set="test"), "text", Screen(details=True))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == ("Take: no system is named: none that is non-inferior to teacher states what it costs.")
    head = lines.index("System nDCG@10 RR(rel=2)@10")
    assert lines[head + 2 : head + 5] == [
        "student 0.6557* T 0.6392* T",
        "teacher 0.5495 0.5371",
        "BM25 0.4450 T 0.4505 T",
    ]
    assert "student +0.1062 [+0.0791, +0.1333] <0.0001 <0.0001 1.46 28/0/2 yes 4" in lines
    for words in (
        "nDCG@10 against teacher (paired t-test)",
        "95 % interval",
        "p Holm",
        "W/T/L",
        "Superscripts: significantly different from T (teacher); capital p < 0.01, small p < 0.05 (paired t-test",
        "Holm over 4 comparisons",
        "*: non-inferior to teacher (3 %; one-sided t-test, p < 0.05, uncorrected).",
        "student against teacher: better (nDCG@10 +0.1062 [+0.0749, +0.1375], p < 0.0001; RR(rel=2)@10 +0.1021",
        "Queries: 30 of the set test (every judged query counts).",
        "Order of results: score descending, then document id descending as a string; the rank column is unused. "
        "Scores: finite; a run with any other is refused.",
    ):
        assert words in " ".join(text.split()), words


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_line_is_wider_than_the_screen_and_no_number_is_broken(width):
    names = ("bm25", "splade-pp-ed+rankvicuna-ckpt800-top20.1", "検索" * 9)
    measures = [f"P@{cutoff}" for cutoff in (1, 2, 3, 5, 10, 20, 50, 100, 1000)]
    found = result(names, measures)
    lines = render(found, "text", Screen(width, details=True)).splitlines()
    assert max(cell_len(line) for line in lines) <= width
    text = "\n".join(lines)
    for one in found.systems:
        assert f"{one.mean:.4f}" in text


def test_bold_is_for_terminals_that_show_it():
    found = result()
    assert "\x1b" not in render(found)
    best = max(one.mean for one in found.systems if one.measure == "nDCG@10")
    assert f"\x1b[1m{best:.4f}" in render(found, "text", Screen(styled=True))


@pytest.mark.parametrize("name", ["text", "markdown"])
def test_no_name_can_break_the_output(name):
    text = render(result(names=("base", NASTY)), name)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b" in text
    assert text.encode()
    assert "[bold]x[/bold]" in text.replace("\\", "")


def test_markdown_is_a_table_with_any_name():
    text = render(result(names=("base", NASTY, "snake_case_", "a*b")), "markdown")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert "| snake_case\\_ |" in text
    assert "| a\\*b |" in text
    for row in rows:
        # Cells end at pipes that no backslash guards.
        assert row.replace("\\|", "").count("|") in (4, 10)
    assert rows[0] == "| System | nDCG@10 | RR(rel=2)@10 |"
    assert "<sup>" in text
    assert "**" in rows[2]


def test_markdown_escapes_what_every_reader_of_it_knows():
    # A backslash before <, & or ~ is one more character to Python-Markdown; an entity is known to all.
    assert escaped("p < 0.05 & a|b > c[1] `x` ~d~") == "p &lt; 0.05 &amp; a\\|b \\> c\\[1\\] \\`x\\` &#126;d&#126;"


def test_csv_reads_back_with_equal_numbers():
    found = result(names=("base", NASTY.replace("\ud800", ""), 'quo"te,\n'), baselines=["base"])
    rows = list(csv.DictReader(io.StringIO(render(found, "csv"))))
    assert len(rows) == 2 + 4
    # What does not print is spelled out.
    names = {visible(name): name for name in found.names}
    for row in rows:
        row["system"], row["baseline"] = names[row["system"]], names.get(row["baseline"], "")
    alone = [row for row in rows if not row["baseline"]]
    assert {row["system"] for row in alone} == {"base"}
    for row in rows:
        one = found.mean(row["system"], row["measure"])
        assert (float(row["mean"]), float(row["mean_ci_low"]), row["superscripts"]) == (
            one.mean, one.ci_low, one.superscripts
        )  # fmt: skip
    compared = {(one.system, one.baseline, one.measure): one for one in found.comparisons}
    for row in rows:
        if row["baseline"]:
            one = compared[row["system"], row["baseline"], row["measure"]]
            assert (float(row["p_adjusted"]), float(row["ci_low"]), int(row["wins"])) == (
                one.p_adjusted, one.ci_low, one.wins
            )  # fmt: skip
            assert row["non_inferior"] == str(one.non_inferior)
            assert row["verdict"] == found.outcome(one)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'=1", "\r=1"])
def test_csv_holds_no_formula_of_a_spreadsheet(name):
    text = render(result(names=("base", name)), "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["system"] for row in rows} == {"base", csv_cell(visible(name))}
    assert not any(str(cell).startswith(("=", "+", "@", "\t", "\r")) for row in rows for cell in row.values())


def test_json_is_the_results_value():
    found = result(names=("base", NASTY))
    text = render(found, "json")
    assert text.isascii()
    assert json.loads(text) == found.to_json()


def test_every_format_shows_what_cannot_be_tested_and_what_was_left_out():
    values = dict(zip(QUERIES, [0.5] * 30, strict=True))
    systems = [
        System("a", {"RR@10": values}, missing=frozenset({"q1"}), notes=("something was left out",)),
        System("b", {"RR@10": values}, unjudged=3),
    ]
    for options in ({}, {"correction": "none", "margin_kind": "absolute", "queries": "intersection", "alpha": (0.1,)}):
        found = compare(systems, **options)
        for name in formats:
            text = render(found, name)
            assert text.endswith("\n")
            assert not text.endswith("\n\n")
            if name != "csv":
                assert "something was left out" in text
        text = " ".join(render(found, "text", Screen(details=True)).split())
        assert "Judged queries without results" in text
        assert "a 1." in text
        assert "ignored: b 3." in text
    assert "non-inferior (0.03)" in text
    assert "29 (those that every system answered; 1 left out)" in text
    assert "0 comparisons, not corrected" in text


def test_one_system_needs_no_legend():
    text = render(result(names=("only",)))
    assert "Superscripts" not in text
    assert "Difference to" not in text
    assert "only" in text


def test_an_unknown_format_names_the_nearest():
    with pytest.raises(UserError, match="no format is called 'makdown'; did you mean 'markdown'"):
        render(result(), "makdown")
    assert render(result(), "md") == render(result(), "markdown")
