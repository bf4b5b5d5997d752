"""The rankers, by name; nothing here imports torch before a ranker is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, cast

from distilkit.models.options import (
    CatOptions,
    ColBertOptions,
    DotOptions,
    Options,
    PreTtrOptions,
    TkOptions,
    options_of,
)
from distilkit.registry import Registry

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Student:
    """A ranker's architecture: what it is, where its class lies, what it reads, and what can be chosen of it.

    `inputs` says what `score` takes: `pair`, a TokenBatch of packed pairs, or `sides`, a SideBatch.
    """

    summary: str
    module: str
    class_name: str
    inputs: Literal["pair", "sides"] = "pair"
    options: type[Options] = CatOptions

    def ranker(self) -> "type[nn.Module]":
        """Import and return the ranker's class."""
        return cast("type[nn.Module]", getattr(import_module(self.module), self.class_name))


STUDENTS: Registry[Student] = Registry("student architecture")

STUDENTS.register("bert_cat", "cross_encoder")(
    Student("query and passage read together, scored from the first token", "distilkit.models.cat", "BertCat")
)
STUDENTS.register("bert_dot", "bi_encoder")(
    Student("one vector per text, scored by dot product", "distilkit.models.dot", "BertDot", "sides", DotOptions)
)
STUDENTS.register("colbert", "late_interaction")(
    Student(
        "one vector per token, scored by the sum of each query token's best match",
        "distilkit.models.colbert",
        "ColBert",
        "sides",
        ColBertOptions,
    )
)
STUDENTS.register("prettr")(
    Student(
        "query and passage read apart up to a layer, together from there",
        "distilkit.models.prettr",
        "PreTtr",
        "sides",
        PreTtrOptions,
    )
)
STUDENTS.register("tk")(
    Student(
        "word embeddings contextualised by a shallow transformer, matched by Gaussian kernels",
        "distilkit.models.tk",
        "Tk",
        "sides",
        TkOptions,
    )
)


def student_options(architecture: str, values: Mapping[str, Any] | None = None) -> Options:
    """Return an architecture's options from a recipe's table; raises UserError for a name or value it has not."""
    name = STUDENTS.resolve(architecture)
    return cast(Options, options_of(STUDENTS[name].options, values or {}, name))
