"""Which layer of the teacher each layer of the student learns from."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from distilkit.errors import UserError


class LayerMap(NamedTuple):
    """The teacher's attention layers, and its states (0 being the embeddings), in the order of the student's."""

    attention: tuple[int, ...]
    states: tuple[int, ...]


def uniform_layer_map(teacher_layers: int, student_layers: int) -> LayerMap:
    """Return TinyBERT's uniform map: the student's layer m learns from the last of the teacher's m-th block of layers.

    With k = teacher_layers / student_layers, attention layer i (from 0) learns from i*k + k-1 and state i from i*k.

    >>> uniform_layer_map(6, 3)
    LayerMap(attention=(1, 3, 5), states=(0, 2, 4, 6))
    """
    if student_layers < 1 or teacher_layers % student_layers:
        raise UserError(
            f"the {teacher_layers} layers of the teacher cannot be mapped evenly to {student_layers} of the student: "
            "take a student whose number of layers divides the teacher's, or give [strategy] layer_map a list of layers"
        )
    block = teacher_layers // student_layers
    return LayerMap(
        attention=tuple(layer * block + block - 1 for layer in range(student_layers)),
        states=tuple(state * block for state in range(student_layers + 1)),
    )


def last_layer_map(teacher_layers: int, student_layers: int) -> LayerMap:
    """Return the map of the student's layers to the teacher's last ones, and of its embeddings to the embeddings.

    >>> last_layer_map(6, 3)
    LayerMap(attention=(3, 4, 5), states=(0, 4, 5, 6))
    """
    if student_layers > teacher_layers:
        raise UserError(f"the student has {student_layers} layers, the teacher {teacher_layers}: too few to learn from")
    return listed_layer_map(range(teacher_layers - student_layers + 1, teacher_layers + 1), teacher_layers)


def listed_layer_map(chosen: Sequence[int], teacher_layers: int) -> LayerMap:
    """Return the map in which the student's layer m learns from the teacher's layer chosen[m], counted from 1.

    >>> listed_layer_map([1, 6], 6)
    LayerMap(attention=(0, 5), states=(0, 1, 6))
    """
    if wrong := [layer for layer in chosen if not 1 <= layer <= teacher_layers]:
        raise UserError(f"layer_map names layer {wrong[0]}; expected layers of the teacher, 1 to {teacher_layers}")
    return LayerMap(attention=tuple(layer - 1 for layer in chosen), states=(0, *chosen))


def layer_map(rule: Literal["uniform", "last"] | Sequence[int], teacher_layers: int, student_layers: int) -> LayerMap:
    """Return the map that a recipe's `layer_map` names; raises UserError for one that does not fit both models."""
    if rule == "uniform":
        return uniform_layer_map(teacher_layers, student_layers)
    if rule == "last":
        return last_layer_map(teacher_layers, student_layers)
    if len(rule) != student_layers:
        raise UserError(f"layer_map has {len(rule)} layers; expected one for each of the student's {student_layers}")
    return listed_layer_map([int(layer) for layer in rule], teacher_layers)
