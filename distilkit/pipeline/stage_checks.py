"""What is refused of a stage before it is trained: a teacher without what it reads, a student that does not fit."""

from typing import TYPE_CHECKING

from distilkit.errors import UserError
from distilkit.models import STUDENTS
from distilkit.models.options import offset_of
from distilkit.pipeline.build_objective import NO_LM_HEAD
from distilkit.pipeline.models import StoredModel
from distilkit.pipeline.tokens import TextReader
from distilkit.pipeline.workspace import Workspace
from distilkit.strategies.terms import NextTextTerm

if TYPE_CHECKING:
    from distilkit.models.ranker import Ranker
    from distilkit.pipeline.trained_stage import TrainedStage


def check_teaching(node: "TrainedStage") -> None:
    """Refuse a stage that wants more of its teacher than there is."""
    teacher, stage = node.teacher, node.stage
    if teacher is None or not stage.uses_teacher:
        return
    what = "a file of scores" if teacher.file else "an ensemble"
    if teacher.file is None and len(teacher.members) == 1:
        what = f"a {teacher.model.architecture}"
        if STUDENTS[teacher.model.architecture].ranker().shows_internals:
            return
    if not stage.uses_scores_alone:
        raise UserError(f"the stage {stage.name} reads more than scores of its teacher; {what} has nothing else")
    if not node.scored_ahead:
        raise UserError(f'[teacher] scores = "online": {what} teaches from scores computed before; expected "cached"')


def check_pair(node: "TrainedStage", student: "Ranker", workspace: Workspace) -> None:
    """Refuse a student that cannot be compared with its teacher token by token, where the stage does."""
    stage = node.stage
    if node.teacher is None or not stage.reads_tokens:
        return
    if not student.shows_internals:
        raise UserError(
            f"the stage {stage.name} reads the student's intermediate layers, which only a bert_cat has in common with "
            f"its teacher; a {node.architecture} learns from scores, with margin_mse for instance"
        )
    from distilkit.models.layer_map import layer_map
    from distilkit.models.projection import Projections

    teacher = node.teacher.model.untrained(workspace, needs_head=stage.trains_scores)
    sizes = student.config.vocab_size, teacher.config.vocab_size
    if sizes[0] != sizes[1]:
        raise UserError(
            f"student and teacher must share one vocabulary: the student has {sizes[0]} entries, the teacher {sizes[1]}"
        )
    if node.tokenizer.uncut != node.teacher.model.tokenizer:
        raise UserError(
            f"the stage {stage.name} compares student and teacher token by token, and their tokenizers differ; "
            "expected one for both"
        )
    if stage.uses_internals:
        layer_map(stage.layer_map, teacher.num_layers, student.num_layers)
        Projections(student.hidden_size, teacher.hidden_size, 1, stage.projection)
    if stage.reads("attention") and student.num_heads != teacher.num_heads:
        raise UserError(
            f"the attention loss needs as many heads in the student as in the teacher, not {student.num_heads} and "
            f"{teacher.num_heads}; take another student, or set [strategy] weights.attention to 0"
        )


def check_text(node: "TrainedStage", student: "Ranker") -> None:
    """Refuse text that the student cannot read, and losses of words or pairs that it has none of."""
    if not isinstance(node.reader, TextReader):
        return
    from distilkit.models.masked_lm import has_lm_head

    general, most = node.reader.sequences.settings, student.room
    if most is not None and general.max_length > most:
        raise UserError(f"[general] max_length = {general.max_length}: the student has positions for {most} tokens")
    if any(isinstance(term, NextTextTerm) for term in node.stage.terms):
        if not general.pairs:
            raise UserError(
                "[general] pairs = false: the loss next_text tells whether the second text of a pair continues the "
                "first; expected pairs = true (or [strategy] weights.next_text = 0)"
            )
        if not student.shows_internals:
            raise UserError(
                f"the loss next_text of the stage {node.stage.name} is of a score of two texts that are read together, "
                f"and a {node.architecture} reads them apart; expected a bert_cat as the student"
            )
    if not node.stage.reads("masked_lm"):
        return
    if general.masking == "none":
        raise UserError(
            '[general] masking = "none": the loss masked_lm is read at masked words; expected "bert", or "one" '
            "(or [strategy] weights.masked_lm = 0)"
        )
    teacher = node.teacher.model if node.teacher else None
    if isinstance(teacher, StoredModel) and not has_lm_head(teacher.folder):
        raise UserError(NO_LM_HEAD)


def check_in_batch(node: "TrainedStage") -> None:
    """Refuse a student that cannot score all pairs of a batch where a loss compares them with a teacher's."""
    if node.stage.in_batch_teacher is not None and not hasattr(STUDENTS[node.architecture].ranker(), "score_all"):
        raise UserError(
            f"the stage {node.stage.name} scores all pairs of a batch, which a {node.architecture} cannot; expected a "
            "bert_dot or colbert (or [strategy] in_batch = 0.0)"
        )


def check_offset(node: "TrainedStage", student: "Ranker") -> None:
    """Refuse an offset of scores for a stage that compares none, and for a student that learns it by itself."""
    stage = node.stage
    if stage.score_offset == "none":
        return
    what = f'[strategy] score_offset = "{stage.score_offset}"'
    if not stage.uses_teacher or not stage.trains_scores:
        raise UserError(f"{what}: the stage {stage.name} compares no scores with a teacher's; expected none")
    if offset_of(student.options) is None:
        raise UserError(
            f'{what}: the scores of a {node.architecture} have a bias, which learns it; expected "none", or one of '
            "bert_dot, colbert and tk as the student"
        )
