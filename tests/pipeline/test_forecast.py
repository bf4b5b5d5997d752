"""The work that a run announces is the work that it does, and its forecast holds on any machine."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from distilkit.files import read_json
from distilkit.pipeline.evaluation import Ranking
from distilkit.pipeline.graph import every
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.rates import Rates
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.request import Request
from distilkit.pipeline.run import run
from distilkit.pipeline.whole import Whole
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess
from distilkit.recipe import load_recipe, load_with_source
from distilkit.run_folders.record import read_status
from distilkit.training.processes import Processes


def test_the_whole_is_what_its_phases_add_up_to(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distilkit.pipeline.probe.SHORT", 0.0)
    # Every query has as many candidates as the depth asks for, so the estimate is exact.
    overrides = ["evaluate.rerank_depth=2", "grid.train.learning_rate=[1e-3, 2e-3]", "train.eval_steps=5"]
    recipe, source = load_with_source(tiny_recipe, overrides)
    reporter = Reporter(quiet=True)
    folder = run(Request(recipe, source, tmp_path / "runs"), reporter, Processes())
    whole = reporter.whole
    assert whole.total > 0
    assert whole.done == pytest.approx(whole.total)
    # Teacher, student and twin are told apart, and the rankings of six and of two layers too.
    (rates,) = read_json(tmp_path / "runs/.artifacts/rates.json").values()
    assert len(rates) == 3 + 2
    # The last sign of the run before its twin was trained.
    said = read_status(folder.status_json).whole
    assert set(said) == {"share", "spent_s", "left_s"}


class Simulated:
    """A machine with a clock of its own, on which units of work take other times than was measured before."""

    def __init__(self, truths: list[tuple[int, float, float]]) -> None:
        self.work, self.now = truths, 0.0

    def run(self) -> list[tuple[float, float, float]]:
        """Return share, forecast and truth of the seconds left after every unit."""
        whole = Whole(lambda: self.now)
        truth = sum(count * seconds for count, _, seconds in self.work)
        whole.start(sum(count * expected for count, expected, _ in self.work))
        found, rng = [], random.Random(1)
        for count, expected, seconds in self.work:
            for _ in range(count):
                self.now += seconds * rng.uniform(0.5, 1.5)
                whole.advance(expected)
                assert whole.seconds_left is not None
                found.append((whole.share, whole.seconds_left, max(truth - self.now, 0.0)))
        return found


# Teacher, its validation and its test scores, student, twin: units, seconds measured before, true seconds.
PARTS = [(250, 1.0, 1.0), (2000, 0.02, 0.02), (5000, 0.02, 0.02), (250, 1.1, 1.1), (5000, 0.01, 0.01), (250, 0.5, 0.5)]


@pytest.mark.parametrize(
    "change",
    [
        lambda place: 1.0,
        lambda place: 0.4,
        lambda place: 2.5,  # the machine is busy with other things now
        lambda place: [1.1, 0.9, 1.05, 0.95, 1.1, 0.9][place],
        lambda place: 2.0 * [0.92, 1.1, 1.0, 1.05, 0.95, 1.08][place],
    ],
    ids=["as measured", "faster", "slower", "each a little off", "slower and a little off"],
)
def test_the_forecast_is_within_a_fifth_of_the_truth_from_the_first_tenth_on(change: Callable[[int], float]) -> None:
    parts = [(count, expected, expected * change(place)) for place, (count, expected, _) in enumerate(PARTS)]
    truth = sum(count * seconds for count, _, seconds in parts)
    for share, forecast, left in Simulated(parts).run():
        if share >= 0.1:
            # Of the last tenth 2 % of the whole.
            assert forecast == pytest.approx(left, rel=0.2, abs=0.02 * truth), share


def test_a_resumed_run_goes_on_with_what_was_spent_and_what_is_left() -> None:
    clock = [0.0]
    whole = Whole(lambda: clock[0])
    whole.start(100.0, before=300.0)
    whole.skip(20.0)  # steps that a checkpoint has
    clock[0] = 8.0
    whole.advance(8.0)
    assert whole.seconds_spent == 308.0
    assert whole.seconds_left == pytest.approx(72.0)
    assert whole.share == pytest.approx(308 / 380)
    assert whole.figures() == "81%, about 72 s left"


def test_who_waited_for_the_work_of_another_run_has_neither_in_its_forecast() -> None:
    clock = [0.0]
    whole = Whole(lambda: clock[0])
    whole.start(500.0)
    clock[0] = 900.0
    whole.leave(400.0, 900.0)
    clock[0] = 920.0
    whole.advance(10.0)  # twice as slow as forecast
    assert whole.seconds_left == pytest.approx(180.0, rel=0.05)
    assert whole.seconds_spent == 920.0


def test_a_forecast_made_anew_is_corrected_by_the_time_since_the_first_though_that_knew_nothing() -> None:
    clock = [0.0]
    whole = Whole(lambda: clock[0])
    assert whole.corrected(0.0, 0.0) is None
    clock[0] = 200.0
    assert whole.corrected(300.0, 100.0) == pytest.approx(400.0, rel=0.02)


def test_the_share_is_whole_where_nothing_is_left_though_the_clock_goes_on() -> None:
    times = iter(range(1, 100))
    whole = Whole(lambda: float(next(times)))
    whole.start(10.0)
    whole.advance(10.0)
    assert whole.share == 1.0


def test_rates_are_kept_for_their_machine_and_others_go_by_multiply_accumulates(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    rates = Rates.read(path, "here")
    assert rates.seconds("new", 5e10) == pytest.approx(1.0)
    rates.learn("step", 2.0, 1e11)
    rates.learn("pair", 0.01, 2e8)
    assert rates.seconds("step", 1.0) == 2.0
    assert rates.seconds("new", 1e10) == pytest.approx(1e10 * (2e-11 + 5e-11) / 2)
    rates.write()
    other = Rates.read(path, "there")
    assert not other.knows("step")
    other.learn("step", 7.0, 1e11)
    other.write()
    again = Rates.read(path, "here")
    assert (again.seconds("step", 0.0), again.seconds("pair", 0.0)) == (2.0, 0.01)
    for damaged in ("{", "[]", '{"here": 3}', '{"here": {"step": "x", "pair": [1e999, 2], "odd": [1]}}'):
        path.write_text(damaged)
        assert not any(Rates.read(path, "here").knows(shape) for shape in ("step", "pair", "odd"))


@pytest.mark.parametrize(("architecture", "apart"), [("bert_cat", 0.0), ("bert_dot", 1.0), ("prettr", 0.5)])
def test_a_forecast_counts_a_passage_once_where_it_is_encoded_once(
    architecture: str, apart: float, tiny_recipe: Path, tmp_path: Path
) -> None:
    words = ["strategy.name=margin_mse", f"student.architecture={architecture}", "evaluate.rerank_depth=10"]
    workspace = Workspace(tmp_path, OneProcess(), Reporter(quiet=True))
    pipeline = Pipeline(load_recipe(tiny_recipe, words), workspace)
    rankings = [node for node in every(pipeline.targets()) if isinstance(node, Ranking)]
    ranking = max(rankings, key=lambda one: (getattr(one.model, "architecture", "") == architecture, one.pairs))
    share = len(ranking.queries.collection.passages) / ranking.pairs
    assert share < 1
    seconds = workspace.rates.seconds(ranking.shape, ranking.pair_macs)
    assert ranking.pair_seconds(workspace) == pytest.approx(seconds * (1 - apart + apart * share))
