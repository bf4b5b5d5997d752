"""Which layers of the teacher a strategy's `layer_map` means."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilkit.errors import UserError
from distilkit.models import layer_map as module
from distilkit.models.layer_map import layer_map
from distilkit.strategies import parse_strategy, strategy_name
from distilkit.strategies.ranker_distill import RankerDistill


@pytest.mark.parametrize(
    ("rule", "teacher", "student", "attention", "states"),
    [
        ("uniform", 12, 6, (1, 3, 5, 7, 9, 11), (0, 2, 4, 6, 8, 10, 12)),
        ("uniform", 12, 4, (2, 5, 8, 11), (0, 3, 6, 9, 12)),
        ("uniform", 4, 4, (0, 1, 2, 3), (0, 1, 2, 3, 4)),
        ("last", 12, 3, (9, 10, 11), (0, 10, 11, 12)),
        ("last", 12, 5, (7, 8, 9, 10, 11), (0, 8, 9, 10, 11, 12)),
        ("last", 3, 3, (0, 1, 2), (0, 1, 2, 3)),
        ((1, 12), 12, 2, (0, 11), (0, 1, 12)),
        ((7, 2, 2), 12, 3, (6, 1, 1), (0, 7, 2, 2)),
    ],
)
def test_maps(rule: object, teacher: int, student: int, attention: tuple[int, ...], states: tuple[int, ...]) -> None:
    assert layer_map(rule, teacher, student) == (attention, states)  # type: ignore[arg-type]


@given(st.integers(1, 6), st.integers(1, 4))
def test_an_attention_layer_is_that_which_makes_the_state(layers: int, block: int) -> None:
    for rule in ("uniform", "last", list(range(1, layers + 1))):
        found = layer_map(rule, layers * block, layers)  # type: ignore[arg-type]
        assert found.states == (0, *(layer + 1 for layer in found.attention))


@pytest.mark.parametrize(
    ("rule", "teacher", "student", "message"),
    [
        ("uniform", 12, 5, r"12 layers of the teacher cannot be mapped evenly to 5 .*, or give \[strategy\] layer_map"),
        ("uniform", 4, 6, "cannot be mapped evenly to 6"),
        ("last", 4, 6, "the student has 6 layers, the teacher 4: too few to learn from"),
        ((1, 2), 12, 3, "layer_map has 2 layers; expected one for each of the student's 3"),
        ((1, 13, 2), 12, 3, "layer_map names layer 13; expected layers of the teacher, 1 to 12"),
    ],
)
def test_maps_that_do_not_fit(rule: object, teacher: int, student: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        layer_map(rule, teacher, student)  # type: ignore[arg-type]


def test_examples_run() -> None:
    assert doctest.testmod(module).failed == 0


def test_a_list_is_part_of_a_name() -> None:
    strategy = parse_strategy("ranker_distill(layer_map=[2, 4])")
    assert strategy_name(strategy) == "ranker_distill(layer_map=[2, 4])"
    assert strategy == RankerDistill(layer_map=(2, 4))


@pytest.mark.parametrize("value", ["[0, 4]", "[1.5]", '"first"', "3"])
def test_what_is_no_map(value: str) -> None:
    with pytest.raises(UserError, match=r"\[strategy\]|layer_map"):
        parse_strategy(f"ranker_distill(layer_map={value})")
