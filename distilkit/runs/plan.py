"""`--dry-run`: what a recipe would do, how large it is, and what is there already. Reads data, trains nothing."""

from dataclasses import dataclass, replace
from typing import Any

from distilkit.errors import UserError
from distilkit.progress import OneProcess
from distilkit.recipe import resolved
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.checks import check
from distilkit.runs.execute import Request
from distilkit.runs.experiment import Experiment
from distilkit.runs.jobs import StageJob
from distilkit.runs.reporter import Reporter
from distilkit.runs.suite import members
from distilkit.tables import table


@dataclass(frozen=True)
class Step:
    """One line of a plan: what is done, with how many examples and optimiser steps, and whether that is cached."""

    what: str
    losses: str
    examples: int | None
    steps: int | None
    cached: bool
    key: str


@dataclass(frozen=True)
class Plan:
    """What a run would do, in order, with the collection it reads and its resolved recipe."""

    name: str
    data: dict[str, Any]
    steps: list[Step]
    sets: dict[str, dict[str, Any]]
    recipe: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the plan for `--json`."""
        return {
            "name": self.name,
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
        lines = [f"{self.name} on {self.data['name']}: {counts}", ""]
        lines.append(table(["stage", "losses", "examples", "steps", "cached"], rows))
        lines.append("")
        for name, found in self.sets.items():
            lines.append(
                f"query set {name}: {found['queries']} queries, re-ranking depth {found['depth']}, {found['measures']}"
            )
        total = sum(step.steps or 0 for step in self.steps if not step.cached)
        lines.append(f"{total} optimiser steps to train; nothing was trained now")
        return "\n".join(lines)


@dataclass(frozen=True)
class SuitePlan:
    """What a suite would do: the plans of its runs; what several of them need is trained once."""

    name: str
    runs: list[Plan]
    to_train: int

    def to_json(self) -> dict[str, Any]:
        """Return the plans for `--json`."""
        return {"name": self.name, "steps_to_train": self.to_train, "runs": [run.to_json() for run in self.runs]}

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
        lines = [f"suite {self.name}: {len(self.runs)} runs on {self.runs[0].data['name']}", ""]
        lines.append(table(["run", "stage", "losses", "examples", "steps", ""], rows))
        lines += ["", f"{self.to_train} optimiser steps to train; nothing was trained now"]
        return "\n".join(lines)


def plan(request: Request) -> Plan:
    """Return the plan of a request; the collection is read (and kept), nothing else is built. Raises UserError."""
    processes = OneProcess()
    artifacts = Artifacts(request.runs_dir / ".artifacts", processes, Reporter(quiet=True))
    experiment = Experiment(request.recipe, artifacts, processes)
    check(experiment)
    chains = experiment.teacher_chains
    steps = [
        _step("teacher" if len(chains) == 1 else f"teacher {place}", job, experiment)
        for place, chain in enumerate(chains, 1)
        for job in chain
    ]
    steps += _student_steps("student", experiment)
    twin = experiment.twin()
    if twin is not None:
        steps += _student_steps("label-only", Experiment(twin, artifacts, processes))
    collection = experiment.materials.collection
    train, validation = experiment.materials.judgements
    counts = {
        "passages": len(collection.passages),
        "queries": len(collection.queries),
        "training queries": len(train),
        "validation queries": len(validation),
    }
    sets = {
        one.name: {
            "queries": len(one.materials.qrels(one.split, one.evaluator.settings.queries)),
            "depth": one.evaluator.depth,
            "measures": " ".join(one.evaluator.measures),
        }
        for one in experiment.sets
    }
    data = {"name": collection.name, "fingerprint": collection.fingerprint, "counts": counts}
    return Plan(request.recipe.name, data, steps, sets, resolved(request.recipe))


def suite_plan(request: Request) -> SuitePlan:
    """Return the plan of a suite. Raises UserError where one of its runs could not be trained."""
    plans = []
    for member in members(request.recipe):
        try:
            plans.append(plan(replace(request, recipe=member.recipe)))
        except UserError as error:
            raise UserError(f"{member.strategy} with {member.student}: {error}") from None
    steps = {step.key: step.steps or 0 for one in plans for step in one.steps if not step.cached}
    return SuitePlan(request.recipe.name, plans, sum(steps.values()))


def _student_steps(who: str, experiment: Experiment) -> list[Step]:
    points = experiment.grid()
    steps: dict[str, Step] = {}
    for point in points:
        for job in point.jobs:
            # What all points share is the student's, what a point has of its own is that point's.
            label = f"{who}, {point.label}" if point.values and job is point.jobs[-1] else who
            step = _step(label, job, experiment)
            steps.setdefault(step.key, step)
    if experiment.retrains:
        # Which point that will be is not known yet, and of them all it has the same size.
        chosen = experiment.point(points[0].values).jobs[-1]
        step = _step(f"{who}, the best of them in full", chosen, experiment)
        steps[step.key] = step
    return list(steps.values())


def _step(who: str, job: StageJob, experiment: Experiment) -> Step:
    examples, steps = experiment.stages.size(job)
    losses = " + ".join(f"{term.weight:g}·{term.name}" for term in job.stage.terms)
    cached = experiment.artifacts.has(experiment.stages.artifact(job))
    return Step(f"{who}: {job.stage.name}", losses, examples, steps, cached, experiment.stages.artifact(job).key)


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
