"""A suite: every strategy with every student, teacher and seed of a [matrix], as runs of one recipe."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from distilkit.errors import UserError, nearest
from distilkit.models import STUDENTS
from distilkit.pipeline.teachers import ITSELF, named_by, teacher_table
from distilkit.recipe import explain
from distilkit.settings import MatrixSettings, Recipe
from distilkit.strategies import STRATEGIES, named_table, parse_strategy, strategy_from_table, with_shared

LABELS = "none"
SEEDS = 3
"""How many seeds a suite has that names none: the fewest whose spread says something."""


@dataclass(frozen=True)
class SuiteRun:
    """One run of a suite, and the words of the matrix that it stands for."""

    recipe: Recipe
    strategy: str
    student: str
    teacher: str
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return what suite.json says of it."""
        words = {"strategy": self.strategy, "student": self.student, "teacher": self.teacher, "seed": self.seed}
        return {"name": self.recipe.name, **words}


def members(recipe: Recipe) -> list[SuiteRun]:
    """Return the runs of a suite, by student, then teacher, strategy and seed; raises UserError that names the key.

    A strategy that learns from labels alone is run once, whatever the teachers; the teacher `none` turns every other
    one into the label-only strategy of [twin]. Both read the labels that stand behind the others, the teacher's too,
    unless `[twin] queries` leaves these out.
    """
    matrix = _matrix(recipe)
    _check_shared(matrix)
    only = _only(matrix)
    found: dict[str, SuiteRun] = {}
    for student in matrix.students:
        for teacher in matrix.teachers:
            for strategy in matrix.strategies:
                if _architecture(student) not in only.get(_name(strategy), (_architecture(student),)):
                    continue
                for seed in matrix.seeds or range(recipe.seed, recipe.seed + SEEDS):
                    member = _member(recipe, matrix, strategy, student, teacher, seed)
                    found.setdefault(member.recipe.name, member)
    return list(found.values())


def jobs_of(recipe: Recipe, runs: int) -> int:
    """Return how many processes work on so many runs of a suite at the same time."""
    return max(1, min(recipe.matrix.jobs if recipe.matrix else 1, runs))


def _matrix(recipe: Recipe) -> MatrixSettings:
    if recipe.matrix is None:
        raise ValueError("the recipe has no [matrix]")
    if "/" in recipe.name:
        raise UserError(f"name = {recipe.name!r}: a suite's runs lie below its name; expected one without a slash")
    return recipe.matrix


def _check_shared(matrix: MatrixSettings) -> None:
    """Refuse a shared key that no strategy of the matrix has."""
    fields = {field for text in matrix.strategies for field in STRATEGIES[_name(text)].__dataclass_fields__}
    for key in matrix.shared:
        if key not in fields:
            raise UserError(f"[matrix] shared: no strategy of the matrix has the key {key!r}{nearest(key, fields)}")


def _only(matrix: MatrixSettings) -> dict[str, set[str]]:
    """Return the architectures that learn by a strategy, where not all do; refuse names that there are not."""
    names = {_name(text) for text in matrix.strategies}
    found = {}
    for strategy, students in matrix.only.items():
        if strategy not in names:
            raise UserError(f"[matrix] only: {strategy!r} is not a strategy of the matrix{nearest(strategy, names)}")
        try:
            found[strategy] = {STUDENTS.resolve(student) for student in students}
        except UserError as error:
            raise UserError(f"[matrix] only.{strategy}: {error}") from None
    return found


def _architecture(student: str) -> str:
    """Return the architecture that ARCHITECTURE:SHAPE:START names; one that there is not is refused later."""
    name = student.partition(":")[0]
    return STUDENTS.resolve(name) if name in STUDENTS else name


def _member(recipe: Recipe, matrix: MatrixSettings, strategy: str, student: str, teacher: str, seed: int) -> SuiteRun:
    try:
        table = with_shared(strategy, matrix.shared)
        if not _needs_teacher(recipe, table):
            teacher = LABELS
        elif teacher == LABELS:
            strategy = recipe.twin.strategy
            table = named_table(parse_strategy(strategy))
    except UserError as error:
        raise UserError(f"[matrix] strategies: {error}") from None
    name = f"{recipe.name}/{_slug(strategy)}-{_slug(student)}-{_slug(teacher)}-seed{seed}"
    changed = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for key in ("matrix", "report", "plugins"):
        changed.pop(key, None)
    own = _teacher(recipe, teacher)
    changed.update(
        name=name,
        seed=seed,
        strategy=table,
        student={**changed.get("student", {}), **_student(student)},
        teacher=own,
        teachers=named_by(recipe, own),
        twin={**changed.get("twin", {}), "budget": "none"},
    )
    taught = any(name != LABELS for name in matrix.teachers)
    if teacher == LABELS and taught and recipe.twin.queries == "union" and recipe.train.triples is None:
        changed["train"] = {"teacher_queries": True, **changed.get("train", {})}
    try:
        return SuiteRun(Recipe.model_validate(changed), strategy, student, teacher, seed)
    except ValidationError as error:
        raise UserError(f"[matrix] {student!r}: {explain(error, Recipe, None)}") from None


def _needs_teacher(recipe: Recipe, table: dict[str, Any]) -> bool:
    return any(stage.uses_teacher for stage in strategy_from_table(table).stages(recipe.train, recipe.seed))


def _student(text: str) -> dict[str, str]:
    """Return the [student] keys of ARCHITECTURE:SHAPE:START."""
    parts = text.split(":", 2)
    return dict(zip(("architecture", "shape", "start"), parts, strict=False))


def _teacher(recipe: Recipe, name: str) -> dict[str, Any]:
    """Return the [teacher] of a name; labels alone are held against that of the recipe."""
    try:
        return teacher_table(recipe, ITSELF if name == LABELS else name)
    except UserError as error:
        raise UserError(f"[matrix] teachers: {error}") from None


def _name(strategy: str) -> str:
    return STRATEGIES.resolve(strategy.partition("(")[0].strip())


def _slug(text: str) -> str:
    """Return words of the matrix as part of a folder's name: tinybert(hard_label=true) as tinybert+hard_label."""
    text = re.sub(r"\s|=true\b|[\"'{}\[\])]", "", text)
    return re.sub(r"[^A-Za-z0-9._+=]", "_", re.sub(r"[(,]", "+", text))
