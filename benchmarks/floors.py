"""The least that a step of one-step distillation costs: operations, and bytes that pass between chip and memory.

Real tokens alone are counted, and every number is computed once: what an implementation computes again in the backward
pass is its own affair.

The two floors are those of work done product by product: every matrix product reads its factors and writes its result
once, in bfloat16; everything between products (bias, GELU, LayerNorm, softmax and the scores of attention) happens on
the chip. Embeddings, heads and losses of predictions are left out, being a thousandth of the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from distilkit.models.macs import encoder_macs

HALF, WIDE = 2, 4
# AdamW reads a parameter, its gradient and two moments, and writes the parameter and the moments.
ADAMW_PASSES = 7


@dataclass(frozen=True)
class Shape:
    """The size of an encoder, and of all its parameters."""

    layers: int
    hidden: int
    intermediate: int
    parameters: int

    @classmethod
    def of(cls, ranker: object) -> "Shape":
        """Return the shape of a cross-encoder."""
        config = ranker.config  # type: ignore[attr-defined]
        parameters = sum(one.numel() for one in ranker.parameters())  # type: ignore[attr-defined]
        return cls(config.num_hidden_layers, config.hidden_size, config.intermediate_size, parameters)


@dataclass(frozen=True)
class Work:
    """Operations (a multiplication and an addition are two) and bytes."""

    operations: float
    bytes: float

    def __add__(self, other: "Work") -> "Work":
        return Work(self.operations + other.operations, self.bytes + other.bytes)

    def __rmul__(self, times: float) -> "Work":
        return Work(times * self.operations, times * self.bytes)

    def seconds(self, rate: float, bandwidth: float) -> tuple[float, float]:
        """Return the two floors in seconds, for so many operations and bytes a second."""
        return self.operations / rate, self.bytes / bandwidth


def step(teacher: Shape, student: Shape, lengths: Sequence[int]) -> Work:
    """Return a step of attention, hidden, embedding, soft and hard on sequences of these lengths, with AdamW.

    Each of the student's layers is mapped to a layer of the teacher; states are projected by one linear map each.
    """
    tokens = sum(lengths)
    projection = linear(tokens, student.hidden, teacher.hidden)
    return (
        forward(teacher, lengths)
        + 3 * forward(student, lengths)
        + 3 * (student.layers + 1) * projection
        + student.layers * transfer(student.hidden, teacher.hidden, lengths)
        + Work(0, ADAMW_PASSES * WIDE * student.parameters)
    )


def forward(shape: Shape, lengths: Sequence[int]) -> Work:
    """Return a forward pass through an encoder's layers."""
    tokens = sum(lengths)
    macs = sum(encoder_macs(shape.layers, shape.hidden, shape.intermediate, length) for length in lengths)
    layer = 4 * linear(tokens, shape.hidden, shape.hidden).bytes
    layer += linear(tokens, shape.hidden, shape.intermediate).bytes
    layer += linear(tokens, shape.intermediate, shape.hidden).bytes
    # Attention in one piece reads queries, keys and values, and writes what they come to. Its backward pass moves twice
    # as much, as that of a linear map does: those four, the result's gradient and three gradients.
    layer += 4 * HALF * tokens * shape.hidden
    return Work(2 * macs, shape.layers * layer)


def linear(tokens: int, inputs: int, outputs: int) -> Work:
    """Return a linear map of so many tokens; each of the two products of its backward pass costs the same."""
    return Work(2 * tokens * inputs * outputs, HALF * (tokens * inputs + inputs * outputs + tokens * outputs))


def transfer(student: int, teacher: int, lengths: Sequence[int]) -> Work:
    """Return attention transfer of one pair of layers, of these hidden sizes, forward and backward.

    The scores are those that attention computes anyway; what comes on top are the gradients of the student's queries
    and keys. A pass of its own over queries and keys reads those of both models, forward and backward, and writes two
    gradients.
    """
    tokens, squares = sum(lengths), sum(length**2 for length in lengths)
    return Work(2 * squares * 2 * student, HALF * tokens * (2 * 2 * (student + teacher) + 2 * student))
