"""Strategies as tables and as names: parsing is the inverse of naming, and what is wrong is said with its key."""

import math
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from distilkit.errors import UserError
from distilkit.settings import TrainSettings
from distilkit.strategies import (
    STRATEGIES,
    TERMS,
    Term,
    parse_strategy,
    strategy_from_table,
    strategy_name,
    strategy_table,
)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Draw values of a field's type, integers within both bounds; validation sorts out what else is out of range."""
    if get_origin(hint) is Annotated:
        kind, *notes = get_args(hint)
        bounds = [one for note in notes for one in getattr(note, "metadata", ())]
        least = next((one.ge for one in bounds if hasattr(one, "ge")), None)
        most = next((one.le for one in bounds if hasattr(one, "le")), None)
        return st.integers(least, most) if kind is int and most is not None else values(kind)
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return st.one_of(*(values(one) for one in get_args(hint)))
    if hint is Term:
        return st.one_of(*(instances(TERMS[name]) for name in TERMS))
    if get_origin(hint) is dict:
        return st.dictionaries(st.sampled_from(list(TERMS)), values(get_args(hint)[1]), max_size=3)
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=3).map(tuple)
    if is_dataclass(hint):
        return instances(hint)  # type: ignore[arg-type]
    plain: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
        float: lambda: st.one_of(st.just(0.0), st.floats(1e-9, 1e9), st.floats(0, allow_infinity=False)),
        int: lambda: st.integers(0, 10**6),
        bool: st.booleans,
        str: st.text,
        type(None): st.none,
    }
    return plain[hint]()


def instances(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Draw instances of a frozen dataclass that it does not refuse itself."""
    hints = get_type_hints(kind, include_extras=True)
    tables = st.fixed_dictionaries({}, optional={field.name: values(hints[field.name]) for field in fields(kind)})

    def build(table: dict[str, Any]) -> Any:
        try:
            return kind(**table)
        except ValueError:
            assume(False)

    return tables.map(build)


@pytest.mark.parametrize("key", list(STRATEGIES))
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_name_recreates_its_strategy(key: str, data: st.DataObject) -> None:
    strategy = data.draw(instances(STRATEGIES[key]))
    try:
        strategy_from_table({"name": key, **strategy_table(strategy)})
    except UserError:
        assume(False)
    name = strategy_name(strategy)
    assert parse_strategy(name) == strategy
    assert strategy_name(parse_strategy(name)) == name
    assert strategy_from_table({"name": key, **strategy_table(strategy)}) == strategy


@pytest.mark.parametrize("key", list(STRATEGIES))
def test_defaults_need_no_keys(key: str) -> None:
    assert strategy_name(STRATEGIES[key]()) == key
    assert parse_strategy(f" {key}() ") == parse_strategy(key) == STRATEGIES[key]()


@pytest.mark.parametrize("key", list(STRATEGIES))
def test_stages_are_plain_and_named(key: str) -> None:
    stages = STRATEGIES[key]().stages(TrainSettings(), 3)
    assert stages
    for stage in stages:
        assert stage.terms
        assert all(math.isfinite(term.weight) and term.weight > 0 for term in stage.terms)
        assert stage.seed == 3
    assert len({stage.name for stage in stages}) == len(stages)


@pytest.mark.parametrize("key", list(STRATEGIES))
def test_a_strategy_says_where_it_comes_from(key: str) -> None:
    kind = STRATEGIES[key]
    assert kind.paper
    for word in (r"Equation\b.*:", "Papers?:", "Deviations:", "Defaults:"):
        assert re.search(rf"^    {word}", kind.__doc__, re.MULTILINE), f"{key}: its docstring has no line {word}"


def test_only_what_differs_is_named() -> None:
    strategy = parse_strategy("simplified_tinybert(temperature=2, weights={hard=0.0, soft=0.5})")
    assert strategy_name(strategy) == "simplified_tinybert(temperature=2.0, weights={soft=0.5, hard=0.0})"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fine_tun", "no strategy is called 'fine_tun'; did you mean 'fine_tune'"),
        ("fine_tune(listwise=1", r"expected NAME or NAME\(key=value"),
        ("fine_tune(listwise)", r"expected NAME\(key=value, ...\) with TOML values"),
        ("fine_tune(listwise=1, listwise=2)", "with TOML values"),
        ("fine_tune(listwise=1}\nother={a=1)", "with TOML values"),
        ('fine_tune(name="simplified_tinybert")', "with TOML values"),
        ("fine_tune(listwize=1)", r"\[strategy\] listwize is not a key of fine_tune; did you mean 'listwise'"),
        ("fine_tune(listwise=nan)", r"\[strategy\] listwise = nan: expected a finite number"),
        ("fine_tune(listwise=-1)", r"\[strategy\] listwise = -1: expected a number from 0"),
        ('fine_tune(listwise="1")', r'\[strategy\] listwise = "1": expected a number'),
        ("fine_tune(listwise=true)", r"\[strategy\] listwise = true: expected a number"),
        ("fine_tune(listwise=1979-05-27)", r'listwise = "1979-05-27": expected a number'),
        ("fine_tune(cross_entropy=0)", r"\[strategy\]: every loss has the weight 0"),
        ("simplified_tinybert(weights={atention=1})", r"\[strategy.weights\] atention is not a key .* 'attention'"),
        ("simplified_tinybert(weights={soft=true})", r"\[strategy.weights\] soft = true: expected a number"),
        ("simplified_tinybert(weights=3)", r"\[strategy\] weights = 3: expected a table"),
        ('simplified_tinybert(variant="papers")', r"variant = \"papers\": expected 'paper' or 'released_code'"),
        ("simplified_tinybert(temperature=0)", "expected a number above 0"),
        (
            "simplified_tinybert(weights={attention=0, hidden=0, embedding=0, soft=0, hard=0})",
            r"\[strategy\] weights: every loss has the weight 0",
        ),
    ],
)
def test_a_wrong_name_is_explained(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_strategy(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("table", "message"), [({}, "name is missing"), ({"name": 5}, "name = 5; expected one of")])
def test_a_table_needs_a_name(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        strategy_from_table(table)
