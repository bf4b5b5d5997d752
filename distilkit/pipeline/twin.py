"""The label-only twin of a recipe: the same student, examples and budget, without a teacher."""

import math

from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.trained_stage import TrainedStage
from distilkit.recipe import grid_of
from distilkit.settings import Recipe
from distilkit.strategies import label_strategy, named_table, strategy_from_table
from distilkit.strategies.stage import trained_macs


def has_twin(recipe: Recipe) -> bool:
    """Return whether a recipe asks for a label-only twin, and has labels to train it on."""
    if recipe.twin.budget == "none" or recipe.train.labels == "none":
        return False
    stages = strategy_from_table(recipe.strategy).stages(recipe.train, recipe.seed)
    return any(stage.uses_teacher for stage in stages)  # one without a teacher is no other than its twin


def twin_of(pipeline: Pipeline) -> Recipe | None:
    """Return the recipe of the label-only twin: the same student, seed and grid, without a teacher.

    Where the student's examples cannot be counted yet, its number of steps is that of its own examples.
    """
    recipe = pipeline.recipe
    if not has_twin(recipe):
        return None
    strategy = label_strategy("[twin] strategy", recipe.twin.strategy)
    table = recipe.model_dump(mode="json", by_alias=True)
    table.update(
        name=f"{recipe.name}-label_only",
        strategy=named_table(strategy),
        twin={"budget": "none"},
        grid={key: values for key, values in grid_of(recipe).items() if not key.startswith("strategy.")},
    )
    stages = pipeline.point({key: values[0] for key, values in grid_of(recipe).items()}).stages
    table["train"]["negatives"] = stages[-1].stage.train.negatives  # which a strategy may set
    last = strategy.stages(recipe.train, recipe.seed)[-1]
    lists = last.examples == "lists"
    if lists and stages[-1].stage.examples == "pairs":
        size = recipe.train.per_device_train_batch_size // (1 + table["train"]["negatives"])
        table["train"]["per_device_train_batch_size"] = max(1, size)
    if recipe.twin.budget == "compute" or len(stages) > 1 or lists:
        table["train"]["max_steps"] = _steps(pipeline, stages)
    # Its budget is the student's, whatever the recipe says of a stage of that name.
    own = table["stages"].get(last.name, {})
    for key in ("max_steps", "num_train_epochs", "per_device_train_batch_size"):
        own.pop(key, None)
    return Recipe.model_validate(table)


def _steps(pipeline: Pipeline, stages: list[TrainedStage]) -> int | None:
    """Return as many label-only steps as the student's stages take, or as cost as many multiply-accumulates."""
    compute, steps = pipeline.recipe.twin.budget == "compute", 0.0
    for stage in stages:
        own = stage.steps(pipeline.workspace)
        if own is None:
            return None
        # Scores that a teacher gave ahead, for all runs, count as if it had given them for this one.
        steps += own * (_share_of_teacher(pipeline, stage) if compute and stage.stage.uses_teacher else 1)
    return math.ceil(steps)


def _share_of_teacher(pipeline: Pipeline, stage: TrainedStage) -> float:
    """Return what a step costs with the teachers' forward passes, in steps of labels alone."""
    pairs = pipeline.data.reader(pipeline.bases[0].tokenizer)
    student = stage.macs(pairs)
    teachers = sum(one.macs(pairs) for one in pipeline.ranker.members) if pipeline.ranker else 0.0
    return trained_macs(student, teachers) / trained_macs(student, 0.0)
