"""What stands behind a trained ranker: the labelled queries that it read and the operations of its training."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from distilkit.pipeline.examples import Countable, DrawnLists, TaskExamples
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.topics import plain_examples
from distilkit.pipeline.trained_stage import TrainedStage
from distilkit.strategies.stage import trained_macs


def drawn_queries(examples: Countable[Any]) -> tuple[str, ...] | None:
    """Return the training queries that some examples draw from the judgements; None of text and of files of triples."""
    examples = plain_examples(examples)
    if isinstance(examples, TaskExamples) and isinstance(examples.source, DrawnLists):
        return examples.source.candidates.query_ids
    return None


def labelled_queries(pipeline: Pipeline, stages: Iterable[TrainedStage]) -> set[str]:
    """Return the training queries whose judgements, or whose triples of a file, some stages read.

    A loss that reads the teacher's scores alone counts like any other: a judgement says which passages it compares.
    """
    found: set[str] = set()
    for stage in stages:
        if stage.stage.examples == "text" or stage.stage.train.labels == "none":
            continue
        drawn = drawn_queries(stage.examples)
        if drawn is None:
            rows = np.unique(pipeline.workspace.value(stage.examples).queries)
            drawn = tuple(pipeline.data.collection.queries.id(int(row)) for row in rows)
        found.update(drawn)
    return found


def training_macs(pipeline: Pipeline, stage: TrainedStage, steps: int) -> float:
    """Return the multiply-accumulates of some steps of a stage, with the forward passes of a teacher that it reads.

    Scores that a teacher gave ahead, for all runs, count as if it had given them for this one.
    """
    teachers = 0.0
    if stage.teacher is not None and stage.stage.uses_teacher:
        members = stage.teacher.members or (pipeline.ranker.members if pipeline.ranker is not None else ())
        teachers = sum(one.macs(stage.teacher_reader or stage.reader) for one in members) + stage.in_batch_macs
    return steps * stage.pairs_per_step * trained_macs(stage.macs(stage.reader), teachers)


def planned_macs(pipeline: Pipeline, stages: Iterable[TrainedStage]) -> float | None:
    """Return the multiply-accumulates of training some stages in full; None as long as their steps are not known."""
    total = 0.0
    for stage in stages:
        steps = stage.steps(pipeline.workspace)
        if steps is None:
            return None
        total += training_macs(pipeline, stage, steps)
    return total


def spent(
    pipeline: Pipeline, stages: Sequence[TrainedStage], trials: Iterable[TrainedStage] = ()
) -> dict[str, float | None]:
    """Return the `budget` of cost.json: the labels and the training behind a ranker that some stages trained.

    What is called total has the stages that were trained as `trials` of a grid too, and those of the teachers, where a
    stage learns from them; it is None where a file of scores says nothing of it. What checkpoints were trained on
    before is counted for nobody.
    """
    own = _sums(pipeline, stages)
    learns = any(stage.stage.uses_teacher and stage.stage.examples != "text" for stage in stages)
    everything: dict[str, float | None] = dict.fromkeys(own)
    if not learns or pipeline.ranker is not None:
        before = stages_before(pipeline) if learns else []
        everything = dict(_sums(pipeline, list(dict.fromkeys((*stages, *trials, *before)))))
    return {**own, **{f"total_{name}": value for name, value in everything.items()}}


def teacher_stages(pipeline: Pipeline) -> list[TrainedStage]:
    """Return the stages that fine-tuned the teachers."""
    return [stage for chain in pipeline.teacher_chains for stage in chain]


def stages_before(pipeline: Pipeline) -> list[TrainedStage]:
    """Return the stages that trained the teachers, and the rankers that the student's stages ask beside them."""
    return [*teacher_stages(pipeline), *pipeline.auxiliary_stages().values()]


def _sums(pipeline: Pipeline, stages: Sequence[TrainedStage]) -> dict[str, float]:
    facts = {stage: pipeline.workspace.facts(stage) for stage in stages}
    return {
        "labelled_queries": len(labelled_queries(pipeline, stages)),
        "training_macs": sum(training_macs(pipeline, stage, facts[stage]["steps"]) for stage in stages),
        "training_seconds": round(sum(facts[stage]["seconds"] for stage in stages), 3),
    }
