"""The teachers that a recipe names: [teacher] with what [teachers.NAME] changes, one of them or an ensemble."""

from typing import Any

from distilkit.errors import UserError, nearest
from distilkit.settings import Recipe, TeacherSettings

ITSELF = "teacher"
OF_ENSEMBLES = ("models", "combine")


def teacher_table(recipe: Recipe, name: str) -> dict[str, Any]:
    """Return the keys of a teacher by its name: those of [teacher], with what [teachers.NAME] changes.

    Raises UserError for a name that there is not.
    """
    base = recipe.teacher.model_dump(mode="json", exclude_unset=True)
    if name == ITSELF:
        return base
    if name not in recipe.teachers:
        raise UserError(f"there is no [teachers.{name}]{nearest(name, [ITSELF, *recipe.teachers])}")
    own = recipe.teachers[name].model_dump(mode="json", exclude_unset=True)
    if "model" in own:
        base = {key: value for key, value in base.items() if key not in OF_ENSEMBLES}
    return {**base, **own, "train": {**base.get("train", {}), **own.get("train", {})}}


def members(recipe: Recipe) -> list[TeacherSettings]:
    """Return the settings of each ranker that teaches, in their order; raises UserError for one that cannot be."""
    if not recipe.teacher.models:
        return [recipe.teacher]
    return [_member(recipe, entry) for entry in recipe.teacher.models]


def _member(recipe: Recipe, entry: str) -> TeacherSettings:
    named = entry == ITSELF or entry in recipe.teachers
    table = teacher_table(recipe, entry if named else ITSELF)
    table = {key: value for key, value in table.items() if key not in OF_ENSEMBLES}
    if named and entry != ITSELF and recipe.teachers[entry].models:
        raise UserError(f"[teacher] models: {entry} is an ensemble itself; expected its members")
    changed = table if named else {**table, "model": entry}
    return TeacherSettings.model_validate(changed)


def named_by(recipe: Recipe, teacher: dict[str, Any]) -> dict[str, Any]:
    """Return the [teachers] that an ensemble's table names."""
    wanted = teacher.get("models", ())
    return {
        name: settings.model_dump(mode="json", exclude_unset=True)
        for name, settings in recipe.teachers.items()
        if name in wanted
    }
