"""Registries: names, aliases, and what is said about names that are neither."""

import pytest

from distilkit.data.sources import SOURCES
from distilkit.errors import UserError
from distilkit.models import STUDENTS
from distilkit.registry import Registry
from distilkit.strategies import STRATEGIES


def colours() -> Registry[int]:
    registry: Registry[int] = Registry("colour")
    registry.register("red", "scarlet")(1)
    registry.register("green")(2)
    return registry


def test_entries_are_found_by_name_and_alias() -> None:
    registry = colours()
    assert (registry["red"], registry["scarlet"], registry["green"]) == (1, 1, 2)
    assert list(registry) == ["red", "green"]
    assert "scarlet" in registry
    assert "blue" not in registry
    assert registry.resolve("scarlet") == "red"


@pytest.mark.parametrize("names", [("red",), ("scarlet",), ("blue", "red"), ("blue", "scarlet")])
def test_a_name_is_given_once(names: tuple[str, ...]) -> None:
    registry = colours()
    with pytest.raises(ValueError, match=r"there is a colour called '(red|scarlet)' already"):
        registry.register(*names)(3)
    assert "blue" not in registry


@pytest.mark.parametrize(
    ("name", "hint"), [("scarlett", "did you mean 'scarlet'"), ("violet", "known: green, red, scarlet")]
)
def test_an_unknown_name_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=f"no colour is called '{name}'; {hint}"):
        colours()[name]


def test_the_names_that_recipes_use() -> None:
    assert {"fine_tune", "simplified_tinybert"} <= set(STRATEGIES)
    assert {"pydocs", "beir", "msmarco"} <= set(SOURCES)
    assert STUDENTS.resolve("cross_encoder") == "bert_cat"
