"""The kinds of values that keys of recipes take, and the base of a recipe's tables."""

import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _toggle(value: object) -> object:
    if value != "auto" and not isinstance(value, bool):
        raise ValueError("expected 'auto', true or false")
    return value


def _names(value: object) -> object:
    """Take a list of names for a tuple, and a name for itself."""
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return tuple(value)
    if not isinstance(value, str | tuple | None):
        raise ValueError("expected a name, or a list of names")
    return value


def _shape(text: str) -> str:
    if not re.fullmatch(r"L[1-9]\d*_H[1-9]\d*", text, re.ASCII):
        raise ValueError("expected layers and hidden size, such as 'L3_H384'")
    return text


LONGEST = 240
"""Bytes of a folder's name at most: file systems take 255, and the twin's name has an ending."""


def folder(text: str) -> str:
    """Return the name of a folder; raises ValueError for one that not every file system takes."""
    if len(text) > LONGEST:
        raise ValueError(f"expected at most {LONGEST} characters, not {len(text)}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+=-]*", text):
        raise ValueError("expected letters, digits and . _ + = -, beginning with a letter or digit")
    return text


def run_name(text: str) -> str:
    """Return a run's name, RUN or SUITE/RUN; raises ValueError for any other."""
    suite, slash, name = text.rpartition("/")
    if slash:
        folder(suite)
    folder(name)
    return text


def set_name(text: str) -> str:
    """Return the name of a further query set; raises ValueError for `test`, which stands for [evaluate] itself."""
    if text == "test":
        raise ValueError("[evaluate] itself is the set called test; expected another name")
    return folder(text)


def teacher_name(text: str) -> str:
    """Return the name of a further teacher; raises ValueError for one that has a meaning of its own."""
    if text in ("none", "teacher"):
        raise ValueError("teacher is [teacher] itself and none stands for labels alone; expected another name")
    return folder(text)


def _takes_none(annotation: object) -> bool:
    return type(None) in get_args(annotation)


Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Toggle = Annotated[Literal["auto"] | bool, BeforeValidator(_toggle)]
Strings = Annotated[tuple[str, ...], Field(strict=False)]
TrackerNames = Annotated[
    tuple[Literal["tensorboard", "wandb", "mlflow", "trackio", "swanlab"], ...], Field(strict=False)
]
Names = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
NameOrNames = Annotated[str | tuple[str, ...] | None, BeforeValidator(_names)]
Counts = Annotated[tuple[Count, ...], Field(strict=False)]
Seeds = Annotated[tuple[Seed, ...], Field(strict=False, min_length=1)]
Shape = Annotated[str, AfterValidator(_shape)]


class Section(BaseModel):
    """A table of the recipe: unknown keys and wrong types are refused, and nothing changes once it is read."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _absent(cls, table: object) -> object:
        """Take the word "none", as TOML has no null, for the absence of a key that may be absent."""
        if not isinstance(table, dict):
            return table
        fields = cls.model_fields if "none" in table.values() else {}
        optional = {field.alias or name for name, field in fields.items() if _takes_none(field.annotation)}
        return {key: None if value == "none" and key in optional else value for key, value in table.items()}
