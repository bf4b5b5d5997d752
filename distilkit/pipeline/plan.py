"""`--dry-run`: what a recipe would do, how large it is, and what is there already. Reads the collection, no more."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from distilkit.errors import UserError
from distilkit.pipeline.checks import Checks, check
from distilkit.pipeline.forecast import Forecast
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.request import Request
from distilkit.pipeline.suite import jobs_of, members
from distilkit.pipeline.trained_stage import TrainedStage
from distilkit.pipeline.twin import twin_of
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess
from distilkit.recipe import resolved
from distilkit.tables import duration, plain, table


@dataclass(frozen=True)
class Step:
    """One stage of a plan.

    `examples` and `steps` are None where only reading a file would tell how many; `seconds` is how long the training
    should take at the pace of the stages that were trained here before, None without any.
    """

    what: str
    losses: str
    examples: int | None
    steps: int | None
    cached: bool
    key: str
    seconds: float | None = None


@dataclass(frozen=True)
class Plan:
    """What a run would do, in order, with the collection it reads and its resolved recipe.

    `seconds` is how long all of it should take, tests included, by the rates that earlier runs measured on this
    machine: None where there are none, and for one run of a suite.
    """

    name: str
    data: dict[str, Any]
    steps: list[Step]
    sets: dict[str, dict[str, Any]]
    recipe: dict[str, Any]
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the plan for `--json`."""
        return {
            "name": self.name,
            "seconds": self.seconds,
            "data": self.data,
            "stages": [vars(step) for step in self.steps],
            "sets": self.sets,
            "recipe": self.recipe,
        }

    def to_text(self) -> str:
        """Return the plan for people."""
        counts = ", ".join(f"{value} {name}" for name, value in self.data["counts"].items())
        rows = [
            [step.what, step.losses, _number(step.examples), _number(step.steps), "yes" if step.cached else "no"]
            for step in self.steps
        ]
        lines = [plain(f"{self.name} on {self.data['name']}: {counts}"), ""]
        lines.append(table(["stage", "losses", "examples", "steps", "cached"], rows))
        lines.append("")
        for name, found in self.sets.items():
            asked = f"{found['queries']} queries, re-ranking depth {found['depth']}, {found['measures']}"
            lines.append(plain(f"query set {name}: {asked}"))
        lines += map(plain, self.data["notes"])
        return "\n".join([*lines, _total([step for step in self.steps if not step.cached], self.seconds)])


@dataclass(frozen=True)
class SuitePlan:
    """What a suite would do: the plans of its runs; what several of them need is trained once.

    `seconds` is how long all runs should take together in so many processes (`jobs`), as for a plan.
    """

    name: str
    runs: list[Plan]
    jobs: int
    seconds: float | None

    @property
    def missing(self) -> list[Step]:
        """The stages that are to be trained, each once."""
        return list({step.key: step for run in self.runs for step in run.steps if not step.cached}.values())

    def to_json(self) -> dict[str, Any]:
        """Return the plans for `--json`."""
        steps = sum(step.steps or 0 for step in self.missing)
        runs = [run.to_json() for run in self.runs]
        return {"name": self.name, "steps_to_train": steps, "jobs": self.jobs, "seconds": self.seconds, "runs": runs}

    def to_text(self) -> str:
        """Return the plans for people: a line for each run's stage, shared ones where they first come."""
        rows, seen = [], set[str]()
        for run in self.runs:
            name = run.name.removeprefix(f"{self.name}/")
            for step in run.steps:
                state = "cached" if step.cached else "shared" if step.key in seen else ""
                seen.add(step.key)
                rows.append([name, step.what, step.losses, _number(step.examples), _number(step.steps), state])
                name = ""
        lines = [plain(f"suite {self.name}: {len(self.runs)} runs on {self.runs[0].data['name']}"), ""]
        lines.append(table(["run", "stage", "losses", "examples", "steps", ""], rows))
        notes = dict.fromkeys(note for run in self.runs for note in run.data["notes"])
        return "\n".join([*lines, "", *map(plain, notes), _total(self.missing, self.seconds, self.jobs)])


def plan(
    request: Request,
    workspace: Workspace | None = None,
    checked: Callable[[Pipeline], None] | None = check,
    suite: Forecast | None = None,
) -> Plan:
    """Return the plan of a request; the collection is read (and kept), nothing else is built. Raises UserError.

    `checked` raises UserError for what would end the run; None where one that differs in its seed alone was checked.
    `suite` is the forecast of the suite that the run belongs to, which it is counted into.
    """
    if workspace is None:
        workspace = Workspace(request.artifacts, OneProcess(), Reporter(quiet=True), auto=request.recorded_precision())
    pipeline = Pipeline(request.recipe, workspace)
    if checked is not None:
        checked(pipeline)
    chains = pipeline.teacher_chains
    steps = [
        _step("teacher" if len(chains) == 1 else f"teacher {place}", stage, workspace)
        for place, chain in enumerate(chains, 1)
        for stage in chain
    ]
    steps += [_step(what, stage, workspace) for what, stage in pipeline.auxiliary_stages().items()]
    own = _student_steps("student", pipeline)
    steps += own
    if (twin := twin_of(pipeline)) is not None:
        theirs = _student_steps("label-only", twin)
        unknown = any(step.steps is None for step in own)  # the twin's budget is the student's
        steps += [replace(step, steps=None, seconds=None) if unknown else step for step in theirs]
    collection = pipeline.data.collection
    train, validation = pipeline.data.judgements
    counts = {
        "passages": len(collection.passages),
        "queries": len(collection.queries),
        "training queries": len(train),
        "validation queries": len(validation),
    }
    sets = {
        one.name: {
            "queries": len(one.queries.qrels),
            "depth": one.settings.rerank_depth,
            "measures": " ".join(one.measures),
        }
        for one in pipeline.sets
    }
    said = [stage.said_of_internals for stage in pipeline.stages() if stage.said_of_internals]
    notes = [*pipeline.notes(), *_left_out(pipeline), *dict.fromkeys(said)]
    data = {"name": collection.name, "fingerprint": collection.fingerprint, "counts": counts, "notes": notes}
    forecast = suite or Forecast(workspace)
    forecast.add(pipeline, twin)
    seconds = forecast.seconds() if suite is None else None
    return Plan(request.recipe.name, data, steps, sets, resolved(request.recipe), seconds)


def suite_plan(request: Request) -> SuitePlan:
    """Return the plan of a suite. Raises UserError where one of its runs could not be trained."""
    recorded = request.recorded_precision()
    plans, workspace = [], Workspace(request.artifacts, OneProcess(), Reporter(quiet=True), auto=recorded)
    seen, checks, found = set[tuple[str, str, str]](), Checks(), members(request.recipe)
    forecast = Forecast(workspace, jobs_of(request.recipe, len(found)))
    for member in found:
        words = member.strategy, member.student, member.teacher
        try:
            checked = None if words in seen else checks.check
            plans.append(plan(replace(request, recipe=member.recipe), workspace, checked, forecast))
        except UserError as error:
            raise UserError(f"{member.strategy} with {member.student}: {error}") from None
        seen.add(words)
    return SuitePlan(request.recipe.name, plans, forecast.jobs, forecast.seconds())


def _left_out(pipeline: Pipeline) -> list[str]:
    """Return what is known of examples that will be left out, without building anything."""
    workspace = pipeline.workspace
    known = (stage.examples for stage in pipeline.stages() if stage.examples.count(workspace) is not None)
    return list(dict.fromkeys(said for examples in known for said in examples.left_out(workspace)))


def _student_steps(who: str, pipeline: Pipeline) -> list[Step]:
    points, workspace = pipeline.grid(), pipeline.workspace
    steps: dict[str, Step] = {}
    for point in points:
        for stage in point.stages:
            # What all points share is the student's, what a point has of its own is that point's.
            label = f"{who}, {point.label}" if point.values and stage is point.stages[-1] else who
            steps.setdefault(stage.key, _step(label, stage, workspace))
    if pipeline.retrains:
        # Which point that will be is not known yet, and of them all it has the same size.
        chosen = pipeline.point(points[0].values).stages[-1]
        steps[chosen.key] = _step(f"{who}, the best of them in full", chosen, workspace)
    return list(steps.values())


def _step(who: str, stage: TrainedStage, workspace: Workspace) -> Step:
    examples, steps = stage.examples.count(workspace), stage.steps(workspace)
    losses = " + ".join(f"{term.weight:g}·{term.name}" for term in stage.stage.terms)
    pace = workspace.pace
    seconds = round(stage.step_macs * steps / pace, 3) if steps and pace else None
    return Step(f"{who}: {stage.stage.name}", losses, examples, steps, workspace.has(stage), stage.key, seconds)


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)


def _total(missing: list[Step], seconds: float | None, jobs: int = 1) -> str:
    known = sum(step.steps or 0 for step in missing)
    unknown = sum(step.steps is None for step in missing)
    more = f", and those of {unknown} stages whose examples are not counted yet (?)" if unknown else ""
    together = f" in {jobs} processes" if jobs > 1 else ""
    # Of a stage whose examples are not counted the time is not known either.
    time = "" if not seconds or unknown else f", about {duration(seconds)}{together} with all tests"
    return f"{known} optimiser steps to train{more}{time}; this is a plan: nothing was trained"
