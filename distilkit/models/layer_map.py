"""Which layer of the teacher each layer of the student learns from."""

from typing import NamedTuple

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
            "take a student whose number of layers divides the teacher's"
        )
    block = teacher_layers // student_layers
    return LayerMap(
        attention=tuple(layer * block + block - 1 for layer in range(student_layers)),
        states=tuple(state * block for state in range(student_layers + 1)),
    )
