"""What can be wrong with a recipe and be seen before anything is trained: of the plan and of the run alike."""

from typing import TYPE_CHECKING

from distilkit.errors import UserError
from distilkit.models import STUDENTS
from distilkit.pipeline.data import Data
from distilkit.pipeline.first_steps import try_first_steps
from distilkit.pipeline.graph import every
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.trackers import require_trackers
from distilkit.pipeline.trained_stage import StartingStudent
from distilkit.pipeline.twin import twin_of

if TYPE_CHECKING:
    from distilkit.models.ranker import Ranker


def check(pipeline: Pipeline) -> None:
    """Raise UserError for data, judgements, measures, weights and shapes that would end the run later."""
    require_trackers(pipeline.recipe.report_to)
    workspace, collections = pipeline.workspace, dict[str, Data]()
    for one in pipeline.sets:
        _ = one.queries, one.measures  # which refuse a split without judgements, and names of no measure
        collections[one.data.collection.fingerprint] = one.data
    for data in collections.values():
        data.check_texts(workspace)
    _check_teachers(pipeline)
    starts = [StartingStudent(stage.start, stage.tokenizer) for stage in pipeline.stages()]
    try:
        for node in every(pipeline.targets()):
            node.check(workspace)
        for start in starts:
            if workspace.knows(start) and start.start.settings is not None:
                _check_positions(pipeline, workspace.value(start), "the student")
        try_first_steps(pipeline.stages(), workspace)
        if (twin := twin_of(pipeline)) is not None:
            try_first_steps(Pipeline(twin, workspace, twin_of=pipeline.recipe.name).stages(), workspace)
    finally:
        for start in starts:
            workspace.forget(start)


def _check_teachers(pipeline: Pipeline) -> None:
    for settings, base, chain in zip(pipeline.members, pipeline.bases, pipeline.teacher_chains, strict=True):
        if chain and not STUDENTS[settings.architecture].ranker().shows_internals:
            raise UserError(
                f"[teacher] architecture = {settings.architecture!r}: only a bert_cat can be fine-tuned as a teacher; "
                "expected no fine_tune"
            )
        if settings.shape is not None and not chain:
            raise UserError(
                f"[teacher] shape = {settings.shape!r} cuts layers away; "
                "expected [teacher] fine_tune, too, which trains the rest"
            )
        from distilkit.models.load import load_tokenizer, require_fit

        teacher = base.untrained(pipeline.workspace, needs_head=pipeline.has_ranker and not chain)
        require_fit(load_tokenizer(base.folder), teacher.config, base.folder)
        _check_positions(pipeline, teacher, settings.model)


def _check_positions(pipeline: Pipeline, ranker: "Ranker", name: str) -> None:
    most = ranker.room
    for one in pipeline.sets:
        for key in ranker.options.text_format.length_keys:
            length = getattr(one.data.settings, key)
            if most is not None and length > most:
                raise UserError(f"[data] {key} = {length}: {name} has positions for {most} tokens")
