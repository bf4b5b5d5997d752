"""Plots: which are made, their files, their frontier, and names that could break them."""

import json
import warnings

import numpy as np
import pytest
from finished_runs import finished_runs

from distilkit.comparison import plots
from distilkit.comparison.compare import compare
from distilkit.comparison.plots import style
from distilkit.comparison.plots.distributions import scores_by_relevance
from distilkit.comparison.plots.effectiveness import costed, frontier
from distilkit.comparison.run_files import example_line, score_lines, validation_line
from distilkit.comparison.systems import System, read_systems
from distilkit.errors import UserError

NASTY = "$x_{1}$ <b> \x1b[31m 検索"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    runs = finished_runs(tmp_path_factory.mktemp("plots") / "runs")
    return compare(read_systems(["s", "other"], runs_dir=runs))


@pytest.mark.slow
def test_each_plot_is_written_in_three_formats(result, tmp_path):
    files = plots.save(result, tmp_path / "new")
    assert {one.stem for one in files} == set(plots.PLOTS)
    assert sorted(one.name for one in (tmp_path / "new").iterdir()) == sorted(one.name for one in files)
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}
    for one in files:
        assert one.read_bytes().startswith(starts[one.suffix])


def test_the_cost_is_operations_where_not_all_are_timed_together(result):
    axis, points = costed(result)
    assert axis == "multiply-accumulates per pair"
    assert {one.name for _, one in points} == {"teacher", "s-label_only", "s", "other"}


def test_the_frontier_has_what_nothing_cheaper_is_as_good_as():
    points = [(3, 0.5), (1, 0.2), (2, 0.1), (2, 0.4), (4, 0.5), (5, 0.9)]
    assert frontier(points) == [(1, 0.2), (2, 0.4), (3, 0.5), (5, 0.9)]


def test_curves_follow_the_students_own_stages(result):
    student = next(one for one in result.sources if one.name == "s")
    steps = validation_line(student, "nDCG@10")
    assert [step for step, _ in steps] == [10, 20, 30, 40]
    assert [value for _, value in steps] == pytest.approx([0.4, 0.5, 0.4, 0.5])
    assert example_line(student, "nDCG@10") == [(1000, pytest.approx(0.3)), (3000, pytest.approx(0.5))]
    assert example_line(student, "AP") == []


def test_a_label_only_students_curves_are_none_of_its_teachers(tmp_path):
    runs = finished_runs(tmp_path / "runs")
    lines = []
    for key, value in (("teacher", 0.9), ("student", 0.3)):
        own = {"t": 1.0, "stage": "fine_tune", "key": key}
        scores = {"positive_score": value, "negative_score": -value}
        for step in (10, 20):
            lines.append({**own, "kind": "train", "step": step, "values": {"loss": 1.0, **scores}})
            lines.append({**own, "kind": "validation", "step": step, "values": {"nDCG@10": value}})
    (runs / "s-label_only" / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    student = next(one for one in read_systems(["s"], runs_dir=runs) if one.name == "s-label_only")
    assert validation_line(student, "nDCG@10") == [(10, 0.3), (20, 0.3)]
    assert score_lines(student) == ([(10, 0.3), (20, 0.3)], [(10, -0.3), (20, -0.3)])


def test_of_a_grid_only_the_point_trained_last_is_shown(tmp_path):
    runs = finished_runs(tmp_path / "runs")
    points = [("one", 10, 0.1), ("one", 30, 0.4), ("two", 10, 0.2), ("two", 20, 0.3)]
    lines = [
        {
            "t": 1.0,
            "kind": "validation",
            "stage": "prediction",
            "step": step,
            "trial": trial,
            "values": {"RR@10": value},
        }
        for trial, step, value in points
    ]
    (runs / "other" / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert validation_line(read_systems(["other"], runs_dir=runs)[-1], "RR@10") == [(10, 0.2), (20, 0.3)]


def test_the_scores_in_training_are_those_of_both_sides(result):
    student = next(one for one in result.sources if one.name == "other")
    assert score_lines(student) == ([(10, 5.0), (20, 7.0)], [(10, 4.0), (20, 1.0)])
    of_two_stages = next(one for one in result.sources if one.name == "s")
    assert [step for step, _ in score_lines(of_two_stages)[0]] == [10, 20, 30, 40]


def test_scores_are_told_apart_by_relevance(result):
    student = next(one for one in result.sources if one.name == "s")
    found = scores_by_relevance(student)
    assert len(found) == 16
    assert {(len(relevant), len(others)) for relevant, others in found} == {(2, 28)}


def test_plots_without_data_are_not_made_and_names_break_nothing(tmp_path):
    random = np.random.default_rng(0)
    systems = [
        System(name, {"RR@10": {f"q{place}": float(one) for place, one in enumerate(random.uniform(size=9))}})
        for name in ("base", NASTY)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = plots.save(compare(systems), tmp_path)
    assert {one.stem for one in files} == {"forest", "waterfall"}
    text = (tmp_path / "waterfall.svg").read_text()
    assert "$x_{1}$ &lt;b&gt; \\x1b[31m" in text
    assert "\x1b" not in text
    (again,) = plots.inline(compare(systems), without=("forest",))
    assert again[0] == "Differences by query"
    assert again[1].startswith("<svg")
    assert "<?xml" not in again[1]


def test_equal_results_are_equal_files(tmp_path):
    systems = [System(name, {"RR@10": {"q": one, "p": 0.5}}) for name, one in (("a", 0.1), ("b", 0.3))]
    first, second = (plots.save(compare(systems), tmp_path / name) for name in "ab")
    assert len(first) == 6
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_seventy_systems_look_different():
    looks = {tuple(style.of(place).values()) for place in range(70)}
    assert len(looks) == 70
    assert style.YELLOW not in style.COLOURS


def test_a_folder_that_cannot_be_written(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--plots .*: cannot be written"):
        plots.save(result, tmp_path / "file")


@pytest.mark.parametrize(("span", "expected"), [((0.55, 8), {"0.6", "1", "6"}), ((9e4, 2e6), {"100,000", "1,000,000"})])
def test_an_axis_of_powers_of_ten_has_plain_numbers(span: tuple[float, float], expected: set[str]) -> None:
    figure = style.figure()
    axes = figure.subplots()
    axes.plot(span, (1, 2))
    style.logarithmic(axes)
    figure.canvas.draw()
    labels = {label.get_text() for label in axes.get_xticklabels(which="both")}
    assert expected <= labels
    assert not any("e" in label for label in labels)
