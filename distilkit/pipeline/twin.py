"""The label-only twin of a recipe: the same student, trained without the teacher on as many labels, and as long."""

import math
from typing import Any

from distilkit.pipeline.budget import drawn_queries, planned_macs, stages_before
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.trained_stage import TrainedStage
from distilkit.pipeline.workspace import Workspace
from distilkit.recipe import grid_of
from distilkit.run_folders.names import twin_name
from distilkit.settings import Recipe
from distilkit.strategies import label_strategy, named_table, strategy_from_table
from distilkit.strategies.stage import trained_macs


def has_twin(recipe: Recipe) -> bool:
    """Return whether a recipe asks for a label-only twin, and has labels to train it on."""
    if recipe.twin.budget == "none" or recipe.train.labels == "none":
        return False
    stages = strategy_from_table(recipe.strategy).stages(recipe.train, recipe.seed)
    return any(stage.uses_teacher for stage in stages)  # one without a teacher is no other than its twin


def twin_of(pipeline: Pipeline, workspace: Workspace | None = None) -> Pipeline | None:
    """Return the label-only twin, None where the recipe has none: the same student and seed, without a teacher.

    It reads the labelled queries of the student, or of student and teacher, as `[twin] queries` says, and has a grid of
    the same size. Where the student's examples cannot be counted yet, its number of steps is that of its own examples.
    Its `workspace` is that of the student where it has none of its own.
    """
    if not has_twin(pipeline.recipe):
        return None
    return Pipeline(_recipe_of_twin(pipeline), workspace or pipeline.workspace, twin_of=pipeline.recipe.name)


def _recipe_of_twin(pipeline: Pipeline) -> Recipe:
    recipe = pipeline.recipe
    strategy = label_strategy("[twin] strategy", recipe.twin.strategy)
    table = recipe.model_dump(mode="json", by_alias=True)
    table.update(
        name=twin_name(recipe.name),
        strategy=named_table(strategy),
        twin={"budget": "none"},
    )
    stages = pipeline.point({key: values[0] for key, values in grid_of(recipe).items()}).stages
    negatives = stages[-1].stage.train.negatives  # which a strategy may set
    table["train"]["negatives"] = negatives
    last = strategy.stages(recipe.train.model_copy(update={"negatives": negatives}), recipe.seed)[-1]
    table["grid"] = _grid(recipe, last.name, table)
    lists = last.examples == "lists"
    if lists and stages[-1].stage.examples == "pairs":
        size = recipe.train.per_device_train_batch_size // (1 + negatives)
        table["train"]["per_device_train_batch_size"] = max(1, size)
    more = recipe.twin.queries == "union" and recipe.train.triples is None and _teacher_read_more(pipeline, stages)
    if more:
        table["train"]["teacher_queries"] = True
    if recipe.twin.budget != "steps" or len(stages) > 1 or lists or more:
        lists_a_step = table["train"]["per_device_train_batch_size"] * recipe.train.gradient_accumulation_steps
        pairs = lists_a_step * stages[-1].processes * last.ways
        table["train"]["max_steps"] = _steps(pipeline, stages, pairs)
    # Its budget is the student's, whatever the recipe says of a stage of that name.
    own = table["stages"].get(last.name, {})
    for key in ("max_steps", "num_train_epochs", "per_device_train_batch_size"):
        own.pop(key, None)
    return Recipe.model_validate(table)


def _grid(recipe: Recipe, stage: str, table: dict[str, Any]) -> dict[str, list[Any]]:
    """Return what the twin is tuned over: the student's keys but the strategy's, which it has not.

    For as many settings as the student's, learning rates twice and half as large as those at hand make up for them.
    """
    searched = grid_of(recipe)
    shared = {key: values for key, values in searched.items() if not key.startswith("strategy.")}
    times = math.prod(len(values) for key, values in searched.items() if key not in shared)
    if times == 1 or recipe.twin.grid == "shared":
        return shared
    own = table["stages"].get(stage, {}).get("learning_rate")
    key, rate = (
        ("train.learning_rate", recipe.train.learning_rate) if own is None else (f"stages.{stage}.learning_rate", own)
    )
    rates = list(shared.get(key, [rate]))
    count = len(rates) * times
    while len(rates) < count:
        rates += [2 * max(rates), min(rates) / 2]
    return {**shared, key: rates[:count]}


def _teacher_read_more(pipeline: Pipeline, stages: list[TrainedStage]) -> bool:
    """Tell whether the teachers were fine-tuned on drawn queries that the student does not read."""
    read = (drawn_queries(stage.examples) for stage in stages)
    return not pipeline.teacher_queries <= {query for queries in read for query in queries or ()}


def _steps(pipeline: Pipeline, stages: list[TrainedStage], step_pairs: int) -> int | None:
    """Return as many label-only steps as the student's stages take, or as cost as many multiply-accumulates.

    `step_pairs` are the pairs of a label-only step. The teacher's own training counts as well where the budget says so.
    """
    budget, student = pipeline.recipe.twin.budget, stages[-1]
    if budget == "steps":
        counts = [stage.steps(pipeline.workspace) for stage in stages]
        return None if None in counts else sum(count or 0 for count in counts)
    counted = [*stages, *(stages_before(pipeline) if budget == "total_compute" else ())]
    macs = planned_macs(pipeline, counted)
    if macs is None:
        return None
    return math.ceil(round(macs / (step_pairs * trained_macs(student.macs(student.scoring_reader))), 6))
