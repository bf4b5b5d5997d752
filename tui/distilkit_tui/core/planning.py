"""What a start would do: `distilkit run --dry-run` in a process of its own, and how long its steps took before."""

import json
import signal
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilkit.errors import UserError
from distilkit.plugins import this_command
from distilkit.run_folders.disk import free
from distilkit.run_folders.record import number


@dataclass(frozen=True)
class PlanStep:
    """A line of the plan; `shared`: a run above trains it; `seconds` at past runs' pace, None where there are none."""

    what: str
    losses: str
    examples: int | None
    steps: int | None
    cached: bool
    shared: bool
    seconds: float | None


@dataclass(frozen=True)
class PlanView:
    """A plan to show: its steps, sentences about the rest, the steps left to train and what they should take.

    `seconds` is the forecast of all that is missing where the plan has one, else the sum of the steps' own.
    """

    name: str
    steps: tuple[PlanStep, ...]
    facts: tuple[str, ...]
    to_train: int
    seconds: float | None
    unknown: int
    free: int


class DryRun:
    """A dry run in a process of its own, as it imports torch and may read a large collection."""

    def __init__(self, arguments: Sequence[str]) -> None:
        command = [*this_command(), *arguments, "--dry-run", "--json"]
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True
            )
        except OSError as error:
            raise UserError(f"the dry run cannot be started: {error}") from None

    def kill(self) -> None:
        """End it: its plan is not wanted any more."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    def result(self) -> dict[str, Any]:
        """Wait for the plan; raises UserError with the command line's own sentence."""
        out, err = (text.decode(errors="replace") for text in self._process.communicate())
        if code := self._process.returncode:
            last = err.strip().splitlines()[-1:] or [f"the dry run ended with code {code}"]
            raise UserError(last[0].removeprefix("distilkit: "))
        try:
            found: dict[str, Any] = json.loads(out)
        except ValueError:
            raise UserError("the dry run printed no plan") from None
        return found


def view(plan: dict[str, Any], runs_dir: Path) -> PlanView:
    """Return a plan's JSON as it is shown, a suite's with all its runs; raises UserError where it is none."""
    try:
        runs = plan.get("runs", [plan])
        seen: set[str] = set()
        steps = [step for one in runs for step in _steps(one, seen, _prefix(plan, one))]
        facts = _facts(runs)
        name = str(plan["name"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the dry run printed a plan that cannot be read: {error!r} is missing") from None
    left = [step for step in steps if not step.cached and not step.shared]
    known = [step.seconds for step in left if step.seconds is not None]
    unknown = len(left) - len(known)
    total = sum(known) if known else None
    if (forecast := number(plan.get("seconds"))) is not None:  # with tests, and in as many processes as there are
        total, unknown = forecast, sum(step.steps is None for step in left)
    return PlanView(name, tuple(steps), facts, sum(step.steps or 0 for step in left), total, unknown, free(runs_dir))


def _prefix(plan: dict[str, Any], run: dict[str, Any]) -> str:
    """Return what stands before a run's stages: its name in a suite, nothing for a run of its own."""
    return "" if run is plan else f"{str(run['name']).removeprefix(str(plan['name']) + '/')} · "


def _steps(plan: dict[str, Any], seen: set[str], prefix: str) -> Iterable[PlanStep]:
    """Yield a run's steps; `seen` are the artifacts that runs above it make, where the plan tells them apart."""
    for one in plan["stages"]:
        cached, steps = bool(one["cached"]), one["steps"]
        key = one.get("key")
        shared = not cached and key in seen
        seen.update([key] if key else [])
        seconds = None if cached or shared else number(one.get("seconds"))
        yield PlanStep(f"{prefix}{one['what']}", str(one["losses"]), one["examples"], steps, cached, shared, seconds)


def _facts(runs: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    counts = ", ".join(f"{value:,} {name}" for name, value in runs[0]["data"]["counts"].items())
    lines = [f"{runs[0]['data']['name']}: {counts}"]
    for name, found in runs[0]["sets"].items():
        lines.append(f"{name}: {found['queries']} queries, re-ranked to depth {found['depth']}, {found['measures']}")
    return tuple(lines)
