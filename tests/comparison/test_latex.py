"""LaTeX that compiles without a warning, whatever the systems are called and however many there are."""

import shutil
import subprocess

import numpy as np
import pytest

from distilkit.comparison.compare import compare
from distilkit.comparison.render import render
from distilkit.comparison.render.latex import escaped
from distilkit.comparison.systems import System

NASTY = "[b]x[/b] |p| \x1b[31m *s* <b> \u202e\ud800 $x^2$ #1 50% a_b ~ \\cmd{x} 検索 éß 'q' \"w\" `t` --- & " + "x" * 60
MEASURES = ("nDCG@10", "RR(rel=2)@10", "AP(rel=2)@1000", "P@1", "R@100", "RR@5", "AP", "nDCG@1000")


def systems(names, measures=MEASURES[:2], spread=0.1, eval_set=None):
    random = np.random.default_rng(0)
    base = random.uniform(0.2, 0.6, 40)
    return [
        System(
            name,
            {
                measure: {f"q{row}": float(one) for row, one in enumerate(base + place * spread / len(names)
                                                                          + random.normal(0, 0.02, 40))}
                for measure in measures
            },
            eval_set=eval_set,
        )
        for place, name in enumerate(names)
    ]  # fmt: skip


def test_the_paper_s_marks():
    text = render(compare(systems(["BERT", "TinyBERT", "x"]), baselines=["BERT:B", "TinyBERT:T"]), "longtable")
    row = next(line for line in text.splitlines() if line.startswith("x &") and "picture" not in line)
    assert row.count(r"\textbf{") == 2
    assert row.count(r"}\textsuperscript{*BT}") == 2
    assert r"\toprule" in text
    assert "significantly different from B (BERT), T (TinyBERT)" in text


def test_sets_share_a_head():
    found = compare([*systems(["a", "b"], eval_set="dev_1"), *systems(["a", "b"], eval_set="dl19")])
    text = render(found, "longtable")
    assert r"\multicolumn{2}{c}{dev\_1 (40 queries)} & \multicolumn{2}{c}{dl19 (40 queries)}" in text
    assert r"\cmidrule(lr){2-3}\cmidrule(lr){4-5}" in text


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("a_b", r"a\_b"), ("50%", r"50\%"), ("\\x{}", r"\textbackslash{}x\{\}"), ("[x]*", "{[}x{]}{*}"),
        ("<$&#~^|>", r"\textless{}\$\&\#\textasciitilde{}\textasciicircum{}\textbar{}\textgreater{}"),
        ("é", r"\'{e}"), ("検", "U+691C"), ("\x1b", r"\textbackslash{}x1b"),
    ],
)  # fmt: skip
def test_special_characters(text, source):
    assert escaped(text) == source


# A system without scalable fonts cannot expand them.
PLAIN = r"\PassOptionsToPackage{expansion=false}{microtype}"
CLASSES = {
    "article": r"\documentclass[twocolumn]{article}",
    "acmart": rf"{PLAIN}\documentclass[sigconf,nonacm]{{acmart}}",
}


@pytest.mark.parametrize("document", CLASSES)
@pytest.mark.parametrize(
    "names", [["base", NASTY], [f"system-{number}" for number in range(60)]], ids=["any name", "60"]
)
def test_the_tables_fit_papers_of_two_columns(tmp_path, document, names):
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex")
    if subprocess.run(["kpsewhich", f"{document}.cls"], capture_output=True).returncode:
        pytest.skip(f"needs {document}")
    (tmp_path / "tables.tex").write_text(render(compare(systems(names, MEASURES, spread=0.3)), "latex"))
    begin = f"{CLASSES[document]}\n\\usepackage{{array,booktabs,xcolor}}\n\\begin{{document}}\n"
    if document == "acmart":
        begin += "\\title{T}\\author{A}\\affiliation{\\country{C}}\\maketitle\n"
    (tmp_path / "paper.tex").write_text(f"{begin}Table \\ref{{tab:means}}.\n\\input{{tables}}\n\\end{{document}}\n")
    for _ in range(2):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
        log = (tmp_path / "paper.log").read_text(errors="replace")
        assert done.returncode == 0, log[-2000:]
    said = [line for line in log.splitlines() if line.startswith("LaTeX Warning") or "Overfull" in line]
    assert said == []


def test_the_tables_are_floats_over_both_columns_with_the_forest_plot():
    text = render(compare(systems(["base", "x", "y"])), "latex")
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == 2
    assert text.count(r"\begin{picture}") == 3
    assert r"\toprule" in text
    assert r"\begin{longtable}" not in text
    assert "documentclass" not in text


@pytest.mark.parametrize(
    ("found", "pages"),
    [
        (compare(systems(["base", NASTY])), 1),
        (compare(systems([f"system-{number}" for number in range(30)], MEASURES)), 2),
        (compare(systems([f"system {number}" for number in range(39)], spread=3.0), pairs="all"), 9),
        (compare([*systems(["a", "b"], eval_set="dev_1"), *systems(["a", "b"], eval_set="dl19")], equivalence=True), 1),
    ],
    ids=["any name", "thirty systems and eight measures", "all pairs", "two sets"],
)
def test_it_compiles_without_a_warning(tmp_path, found, pages):
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex")
    (tmp_path / "table.tex").write_text(render(found, "longtable"))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True)
    log = (tmp_path / "table.log").read_text(errors="replace")
    assert done.returncode == 0, log[-2000:]
    said = [line for line in log.splitlines() if "Warning" in line or "Overfull" in line or "Underfull" in line]
    assert said == []
    assert int(log.rpartition("Output written on table.pdf (")[2].split()[0]) >= pages
