"""The student's weights before its first stage."""

import re
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PretrainedConfig

from distilkit.errors import UserError
from distilkit.models.cat import BertCat
from distilkit.models.layer_map import LayerMap, uniform_layer_map
from distilkit.models.load import load_cat
from distilkit.models.references import local_folder
from distilkit.models.shape import Shape, reshaped, set_dropout
from distilkit.models.silence import silent

__all__ = ["LayerMap", "student_from", "uniform_layer_map"]

LAYER = re.compile(r"(?P<before>(?:^|.*\.)layers?\.)(?P<index>\d+)(?P<after>\..*)")


def student_from(
    source: BertCat | Path,
    *,
    shape: str | None = None,
    start: str = "random",
    num_labels: int = 1,
    dropout: float | None = None,
) -> BertCat:
    """Return a new student, in training mode; what is drawn at random follows torch.manual_seed.

    Args:
        source: the model it takes its architecture, heads and vocabulary from, as a rule the teacher
        shape: `L3_H384`; by default the source's own (or that of the checkpoint that `start` names)
        start: `random`, every weight drawn; `first_layers`, embeddings, pooler and the first layers copied from the
            source; `every_nth_layer`, the same with the layers that the uniform map's attention takes; or a model
            reference, whose checkpoint is the student
        num_labels: 1 or 2
        dropout: sets every dropout probability; by default they stay as the source has them
    """
    source = source if isinstance(source, BertCat) else load_cat(source, num_labels=1)
    wanted = None if shape is None else Shape.parse(shape)
    if start in ("random", "first_layers", "every_nth_layer"):
        student = _fresh(source.config, wanted or Shape.of(source.config), num_labels, dropout)
        if start != "random":
            _copy_layers(source, student, start)
    else:
        student = load_cat(local_folder(start), num_labels=num_labels, dropout=dropout)
        _require_fit(student, source, wanted, start)
    return student.train()


def _fresh(config: PretrainedConfig, shape: Shape, num_labels: int, dropout: float | None) -> BertCat:
    config = reshaped(config, shape)
    config.num_labels = num_labels
    config.dtype = "float32"
    set_dropout(config, dropout)
    with silent():
        return BertCat(AutoModelForSequenceClassification.from_config(config))


@torch.no_grad()
def _copy_layers(source: BertCat, student: BertCat, start: str) -> None:
    if source.hidden_size != student.hidden_size:
        raise UserError(
            f"start = {start!r} copies layers, so the student's hidden size must be the source's: "
            f"{student.hidden_size} is not {source.hidden_size}"
        )
    if student.num_layers > source.num_layers:
        raise UserError(f"start = {start!r}: the source has {source.num_layers} layers, not {student.num_layers}")
    chosen: tuple[int, ...] = tuple(range(student.num_layers))
    if start == "every_nth_layer":
        chosen = uniform_layer_map(source.num_layers, student.num_layers).attention
    weights: dict[str, Tensor] = source.encoder.state_dict()
    student.encoder.load_state_dict(
        {name: weights[_source_name(name, chosen)] for name in student.encoder.state_dict()}
    )


def _source_name(name: str, chosen: tuple[int, ...]) -> str:
    """Return the source's name of a student's weight, which differs in the layer's number (ALBERT has none)."""
    match = LAYER.fullmatch(name)
    return name if match is None else f"{match['before']}{chosen[int(match['index'])]}{match['after']}"


def _require_fit(student: BertCat, source: BertCat, wanted: Shape | None, start: str) -> None:
    found = Shape.of(student.config)
    if wanted is not None and found != wanted:
        raise UserError(f"the student is to have the shape {wanted}, but {start} has {found}")
    if student.config.vocab_size != source.config.vocab_size:
        raise UserError(
            f"student and teacher must share one vocabulary: {start} has {student.config.vocab_size} entries, "
            f"the teacher {source.config.vocab_size}"
        )
