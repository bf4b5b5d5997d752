"""The student architectures, by name; nothing here imports torch before a ranker is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from distilkit.errors import UserError
from distilkit.plugins import code_of, load_entry_points
from distilkit.registry import Registry

if TYPE_CHECKING:
    from distilkit.models.options import Options
    from distilkit.models.ranker import Ranker


@dataclass(frozen=True)
class Student:
    """An architecture's entry: what it is, and where the class lies that owns everything about it."""

    summary: str
    module: str
    class_name: str

    def ranker(self) -> "type[Ranker]":
        """Import and return the ranker's class."""
        return cast("type[Ranker]", getattr(import_module(self.module), self.class_name))

    def require_options(self, options: "Options | None") -> None:
        """Raise UserError for the options of another architecture."""
        kind = self.ranker()
        if options is not None and not isinstance(options, kind.options_type):
            raise UserError(f"{kind.architecture} has no {type(options).__name__}")

    @property
    def code(self) -> str | None:
        """The sha256 of the module where it is not distilkit's own, for keys of what is trained with it."""
        return None if self.module.partition(".")[0] == "distilkit" else code_of(self.ranker())


STUDENTS: Registry[Student] = Registry("student architecture", load_entry_points)

STUDENTS.register("bert_cat", "cross_encoder")(
    Student("query and passage read together, scored from the first token", "distilkit.models.cat", "BertCat")
)
STUDENTS.register("bert_dot", "bi_encoder")(
    Student("one vector per text, scored by dot product", "distilkit.models.dot", "BertDot")
)
STUDENTS.register("colbert", "late_interaction")(
    Student(
        "one vector per token, scored by the sum of each query token's best match",
        "distilkit.models.colbert",
        "ColBert",
    )
)
STUDENTS.register("prettr")(
    Student("query and passage read apart up to a layer, together from there", "distilkit.models.prettr", "PreTtr")
)
STUDENTS.register("tk")(
    Student(
        "word embeddings contextualised by a shallow transformer, matched by Gaussian kernels",
        "distilkit.models.tk",
        "Tk",
    )
)
STUDENTS.register("yes_no")(
    Student(
        "a language model that is asked, scored by the logits of two words; a teacher alone",
        "distilkit.models.yes_no",
        "YesNo",
    )
)


def student_options(architecture: str, values: Mapping[str, Any] | None = None) -> "Options":
    """Return an architecture's options from a recipe's table; raises UserError for a name or value it has not."""
    from distilkit.models.options import options_of

    name = STUDENTS.resolve(architecture)
    return options_of(STUDENTS[name].ranker().options_type, values or {}, name)
