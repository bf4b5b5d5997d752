"""Experiment trackers (TensorBoard, Weights & Biases, MLflow, Trackio, SwanLab), fed with what a run's events say."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from distilkit.errors import UserError, first_line

# The project, experiment or folder that runs are entered in.
PROJECT = "distilkit"
KINDS = ("train", "validation", "curve")


def require_trackers(names: Sequence[str]) -> None:
    """Raise UserError for a tracker whose package is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise UserError(f"report_to: {name} needs a package that is not installed: pip install {name}")


class Trackers:
    """The trackers that a run reports to, its label-only twin included.

    A tracker that fails, as one does whose server cannot be reached, is left out from there on; the run goes on.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._started: dict[str, Any] = {}
        self._where, self._offset, self._last = "", 0, 0

    @classmethod
    def start(
        cls,
        names: Sequence[str],
        run_name: str,
        folder: Path,
        settings: Mapping[str, Any],
        say: Callable[[str], object],
    ) -> "Trackers":
        """Return started trackers.

        Args:
            names: packages of trackers
            run_name: the run's name
            folder: where those write that keep files
            settings: the recipe's dotted keys with their values
            say: takes a line for the log
        """
        trackers = cls(say)
        for name in names:
            trackers._try(name, partial(trackers._start, name, run_name, folder, settings))
        return trackers

    def _start(self, name: str, run_name: str, folder: Path, settings: Mapping[str, Any]) -> None:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        own: dict[str, dict[str, Any]] = {
            "tensorboard": {"run_name": run_name, "logging_dir": folder},
            "mlflow": {"experiment_name": PROJECT, "run_name": run_name},
            "swanlab": {"run_name": PROJECT, "experiment_name": run_name},
        }
        tracker = LOGGER_TYPE_TO_CLASS[name](**own.get(name, {"run_name": PROJECT, "name": run_name}))
        tracker.start()
        self._started[name] = tracker
        tracker.store_init_configuration({key: _plain(value) for key, value in settings.items()})

    def log(self, where: str, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Enter the figures of an event; `where` names the training and its stage.

        Steps of a tracker never go back, so that those of a stage follow those of the one before; the stage's own
        step is entered as a figure.
        """
        if not self._started or kind not in KINDS:
            return
        if where != self._where:
            self._where, self._offset = where, self._last
        self._last = max(self._last, self._offset + step)
        name = re.sub(r"[^\w\-. /:]+", "_", where.replace("/", " of "))
        numbers = {
            f"{name}/{kind}/{key.replace('@', '_at_')}": float(value)
            for key, value in values.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        for one, tracker in [*self._started.items()]:
            figures = {**numbers, f"{name}/step": step}
            self._try(one, partial(tracker.log, figures, step=self._last))

    def finish(self) -> None:
        """Close the trackers."""
        for name, tracker in [*self._started.items()]:
            self._try(name, tracker.finish)
        self._started.clear()

    def _try(self, name: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # a tracker's own troubles, of any kind
            self._started.pop(name, None)
            self._say(f"report_to: {name} gets no more reports: {first_line(error)}")


def _plain(value: object) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else str(value)
