"""The plots of runs: what of their histories is drawn, and how."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from distilkit_tui.core.history import OTHERS, Floats, History, Series, StageCurves
from distilkit_tui.core.text import duration
from distilkit_tui.widgets.plot import Curve, Plot

# Values of smoothing, as the number of points that weigh in; 0 shows the points as they are.
WINDOWS = (0, 10, 50, 200)
NO_STEP = "no step has been logged yet"


@dataclass(frozen=True)
class View:
    """How curves are shown: points that weigh in the smoothing, axes, and the measure's place among the measures."""

    window: int = WINDOWS[0]
    log_y: bool = False
    by_time: bool = False
    measure: int = 0

    def smoother(self) -> int:
        """Return the next smoothing."""
        return WINDOWS[(WINDOWS.index(self.window) + 1) % len(WINDOWS)]


class Shown(NamedTuple):
    """A run to draw among others."""

    name: str
    history: History
    colour: int


def loss_plot(history: History, place: int, view: View, whose: str = "") -> Plot:
    """Return a stage's loss and every term of it; smoothed, the points themselves stay behind the loss.

    `whose` stands before the stage's name.
    """
    stage = _at(history, place)
    if stage is None:
        return Plot("loss", note=NO_STEP)
    curves = [
        curve
        for number, name in enumerate(stage.losses)
        for curve in _loss_curves(name, stage.train[name], view, number, name == "loss")
    ]
    # The sum is painted last: it must not hide behind a term.
    curves.sort(key=lambda curve: curve.name == "loss")
    return _plot(f"loss · {whose}{stage.label}{_smoothing(view)}", curves, view)


def single_loss_plot(shown: Sequence[Shown], view: View) -> Plot:
    """Return the loss of several runs' latest stages, one curve each, the last run on top."""
    curves: list[Curve] = []
    for run in shown:
        with run.history.lock:
            stage = _at(run.history, -1)
            if stage is not None and "loss" in stage.train:
                name = _name(run, stage, len(shown))
                curves += _loss_curves(name, stage.train["loss"], view, run.colour, len(shown) == 1)
    return _plot(f"loss{_smoothing(view)}", curves, view, note=NO_STEP)


def validation_plot(shown: Sequence[Shown], view: View, first: str, place: int = -1) -> Plot:
    """Return one measure on the validation queries, of one run or several; `first` is the measure to begin with.

    Behind those on validation queries come what the scores of training examples are watched by.
    """
    found, curves, reach = dict[str, None](), list[Curve](), list[float]()
    for run in shown:
        with run.history.lock:
            if (stage := _at(run.history, place)) is not None:
                found |= dict.fromkeys(stage.measures)
                reach += _reach(stage, view)
    names = sorted(found, key=lambda name: name != first)
    if not names:
        return Plot("validation", note="nothing has been validated yet")
    name = names[view.measure % len(names)]
    for run in shown:
        with run.history.lock:
            stage = _at(run.history, place)
            series = stage.measured(name) if stage is not None else None
            if stage is not None and series is not None:
                x, y = _points(series, view)
                if view.by_time:
                    x = x + _since_start(stage, series)
                glyph = "•" if name in stage.validation else ""
                curves.append(Curve(_name(run, stage, len(shown)), x, y, run.colour, glyph=glyph))
    title = f"training {name}" if name in OTHERS else f"validation {name}"
    return replace(_plot(title, curves, View(by_time=view.by_time)), x_also=tuple(reach))


def learning_rate_plot(history: History, place: int, view: View) -> Plot:
    """Return a stage's learning rate."""
    stage = _at(history, place)
    if stage is None or "learning_rate" not in stage.train:
        return Plot("learning rate", note=NO_STEP)
    x, y = _points(stage.train["learning_rate"], view)
    return _plot("learning rate", [Curve("", x, y, 4)], View(by_time=view.by_time), zero=True)


def speed_plot(history: History, place: int, examples: int, view: View) -> Plot:
    """Return a stage's examples a second, from the times between its logged steps."""
    stage = _at(history, place)
    series = stage.train.get("loss") if stage is not None else None
    if series is None or len(series) < 3:
        return Plot("examples/s", note=NO_STEP)
    x, _ = _points(series, view)
    spent = np.diff(series.times)
    # A pause between two processes is a gap, not a slow step.
    counted = (spent > 0) & (spent < max(30.0, 20 * float(np.median(spent))))
    speed = np.where(counted, examples * np.diff(series.steps) / np.where(counted, spent, 1.0), np.nan)
    return _plot("examples/s", [Curve("", x[1:], smooth(speed, view.window), 2)], View(by_time=view.by_time), zero=True)


def _at(history: History, place: int) -> StageCurves | None:
    """Return the stage of a number, the latest for -1; None where there is none."""
    return history.stages[place] if place < len(history.stages) and history.stages else None


def _loss_curves(name: str, series: Series, view: View, colour: int, points: bool) -> list[Curve]:
    """Return a curve, smoothed as `view` says, with every point behind it where that is wanted and it is smoothed."""
    x, y = _points(series, view)
    behind = [Curve("every point", x, y, colour, dim=True)] if points and view.window else []
    return [*behind, Curve(name, x, smooth(y, view.window), colour)]


def _smoothing(view: View) -> str:
    return f" · ema {view.window}" if view.window else ""


def _reach(stage: StageCurves, view: View) -> tuple[float, ...]:
    """Return where a stage's training begins and how far it has come, on the x axis."""
    series = next(iter(stage.train.values()), None)
    if series is None or not len(series):
        return ()
    x, _ = _points(series, view)
    return (float(x[0]), float(x[-1]))


def _since_start(stage: StageCurves, measured: Series) -> float:
    """Return the seconds between a stage's first logged step and the first point of one of its curves."""
    first = [series.times[0] for series in stage.train.values() if len(series)]
    return float(measured.times[0] - min(first)) if first and len(measured) else 0.0


def _points(series: Series, view: View) -> tuple[Floats, Floats]:
    """Return a curve's x and y, copied: the reading thread goes on writing."""
    x = series.times - series.times[:1] if view.by_time else series.steps
    return np.array(x), np.array(series.values)


def _name(run: Shown, stage: StageCurves, count: int) -> str:
    return run.name if count > 1 else stage.label


def _plot(
    title: str, curves: Sequence[Curve], view: View, zero: bool = False, note: str = "nothing to draw yet"
) -> Plot:
    write, x = (duration, "time") if view.by_time else (None, "step")
    return Plot(title, tuple(curves), x_label=x, log_y=view.log_y, zero=zero, x_figure=write, note=note)


def smooth(values: Floats, window: int) -> Floats:
    """Return the exponential moving average of `values` [n], without the pull of its start and blind to gaps.

    The average of a step weighs the points before it by (1 - a)^distance, a = 2 / (window + 1), and divides by the sum
    of the weights. Gaps stay gaps.
    """
    if window < 2 or not len(values):
        return values
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        averages = _decayed_sum(np.where(finite, values, 0.0), window) / _decayed_sum(finite.astype(float), window)
    return np.where(finite, averages, np.nan)


def _decayed_sum(values: Floats, window: int) -> Floats:
    """Return s with s[t] = (1 - a)·s[t - 1] + values[t], in blocks, within which it is a scaled running sum."""
    keep = 1 - 2 / (window + 1)
    size = max(1, min(len(values), int(25 / -np.log(keep))))  # the scale stays below e^25
    blocks = -(-len(values) // size)
    padded = np.zeros(blocks * size)
    padded[: len(values)] = values
    scale = keep ** np.arange(size)
    sums = np.cumsum(padded.reshape(blocks, size) / scale, axis=1) * scale
    carry = 0.0
    for block in sums:
        block += carry * keep * scale
        carry = block[-1]
    return np.asarray(sums.ravel()[: len(values)])
