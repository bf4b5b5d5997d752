"""Every key of every strategy has its own sentence, in the class or one that it builds on."""

import dataclasses

import pytest

from distilkit.strategies import STRATEGIES
from distilkit.strategies.describe import explain, key_help


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_every_key_has_its_own_help(name: str) -> None:
    found = {key: " ".join(text.split()) for key, text in key_help(STRATEGIES[name]).items()}
    explained = " ".join(explain(name).split())
    for field in dataclasses.fields(STRATEGIES[name]):
        assert found[field.name].endswith(".") or found[field.name].endswith("name = weight."), field.name
        assert found[field.name] in explained


def test_a_class_without_source_has_none() -> None:
    made = dataclasses.make_dataclass("Made", [("weight", float, 1.0)])
    assert key_help(made) == {}
