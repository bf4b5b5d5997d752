"""The rankers, by name; nothing here imports torch before a ranker is asked for."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from distilkit.registry import Registry

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Student:
    """A ranker's architecture: what it is, and where its class lies."""

    summary: str
    module: str
    class_name: str

    def ranker(self) -> "type[nn.Module]":
        """Import and return the ranker's class."""
        return cast("type[nn.Module]", getattr(import_module(self.module), self.class_name))


STUDENTS: Registry[Student] = Registry("student architecture")

STUDENTS.register("bert_cat", "cross_encoder")(
    Student("query and passage read together, scored from the first token", "distilkit.models.cat", "BertCat")
)
