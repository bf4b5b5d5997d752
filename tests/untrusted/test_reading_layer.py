"""The layer that reads what others may have written: limits, and errors of two kinds alone."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilkit.errors import UserError
from distilkit.evaluation.measures import canonical_all
from distilkit.files import read_json
from distilkit.places import line_of
from distilkit.recipe import load_recipe
from distilkit.untrusted import DEPTH, DIGITS, fits, parse_json, parse_toml, read_text

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@calm
@given(values)
def test_what_json_writes_reads_back(value: Any) -> None:
    try:
        assert parse_json(json.dumps(value)) == value
    except ValueError:
        text = json.dumps(value, ensure_ascii=False)
        assert any(len(word) > DIGITS for word in text.split()) or not _whole_letters(text)


def _whole_letters(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@calm
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_json_of_any_bytes_is_a_value_or_a_value_error(data: bytes) -> None:
    for act in (parse_json, lambda data: parse_json(data.decode("latin-1")), lambda data: parse_toml(data.decode())):
        try:
            act(data)
        except ValueError:
            continue


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 66 + "]" * 66, "nested more than 64 deep"),
        ("[" * 200_000, "nested more than 64 deep"),
        ('{"a":' * 65 + "1" + "}" * 65, "nested more than 64 deep"),
        ("9" * 101, "a whole number of 101 digits"),
        ("-" + "9" * 100_000, "a whole number of 100001 digits"),
        (r'"\ud800"', "half of a surrogate pair"),
        (r'{"\uDFFF": 1}', "half of a surrogate pair"),
        ('["a", ', "Expecting value"),
        ("", "Expecting value"),
    ],
)
def test_json_beyond_the_limits(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_json(text)


def test_json_within_the_limits() -> None:
    deep = parse_json("[" * DEPTH + "]" * DEPTH)
    assert len(json.dumps(deep)) == 2 * DEPTH
    assert math.isfinite(float(parse_json("9" * DIGITS)))
    assert math.isinf(parse_json("1e400"))
    assert parse_json('"\\ud83d\\ude00 \\ud"'.replace(" \\ud", "")) == "😀"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = " + "[" * 500 + "]" * 500, "nested more than 64 deep"),
        ("a = " + "[" * 200_000, "nested more than 64 deep"),
        ("a = " + "{a=" * 100 + "1" + "}" * 100, "nested more than 64 deep"),
        (".".join("a" * 1000) + " = 1", "nested more than 64 deep"),
        (f"[{'.'.join('a' * 1000)}]", "nested more than 64 deep"),
        ("a = " + "9" * 5000, "100 digits at most"),
        ("a = " + "9" * 200, "100 digits at most"),
        ("a = 0x" + "f" * 5000, "100 digits at most"),
        (r'a = "x\u0000"', "null character"),
        (r'["x\u0000"]' + "\na = 1", "null character"),
        (r'a = [{b = "x\u0000"}]', "null character"),
        ("a = \0", "Invalid value|illegal character|Illegal character"),
    ],
)
def test_toml_beyond_the_limits(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_toml(text)


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "latin").write_bytes(b'"\xe9"')
    for name in ("pipe", "folder", "zero", "loop", "latin", "none"):
        with pytest.raises((OSError, ValueError)):
            read_json(tmp_path / name)
    (tmp_path / "file").write_text("12345")
    (tmp_path / "link").symlink_to("file")
    assert read_json(tmp_path / "link") == 12345
    with pytest.raises(ValueError, match="symbolic link"):
        read_json(tmp_path / "link", links=False)
    with pytest.raises(ValueError, match="larger than 4 bytes"):
        read_text(tmp_path / "file", most=4)
    assert read_text(tmp_path / "file", most=5) == "12345"


def test_shapes() -> None:
    shape = {"name": str, "runs": [{"seed": int}]}
    assert fits({"name": "a", "runs": [{"seed": 1, "more": 2}], "more": 3}, shape)
    for wrong in (None, [], {}, {"name": 1, "runs": []}, {"name": "a", "runs": {}}, {"name": "a", "runs": [1]}):
        assert not fits(wrong, shape)


@pytest.mark.parametrize("text", ["a{}b", "[a{}b", "'{}", '"{}', "a.{}.", "[{}", "a '{}' b"])
def test_the_place_of_a_key_is_found_in_linear_time(tmp_path: Path, text: str) -> None:
    file = tmp_path / "recipe.toml"
    for blank in (" ", "\t", "a", ".", "''", '""', "a."):
        file.write_text(f"{text.format(blank * 200_000)}\n[strategy]\nname = 1\n")
        began = time.monotonic()
        assert line_of(file, ("strategy", "name")) == (3, 2)
        assert time.monotonic() - began < 10


def test_the_place_of_a_key(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(
        'name = "a"\n  [ train ]  # [strategy]\n"learning_rate"=1\n[grid]\n"strategy.temperature" = [1]\n'
        "[ stages . 'general' ]\nmax_steps = 1\n[teacher]\ntrain.seed = 1\nx == 1\n"
    )
    for location, place in {
        ("name",): (1, 1),
        ("train", "learning_rate"): (3, 2),
        ("grid", "strategy.temperature"): (5, 3),
        ("stages", "general", "max_steps"): (7, 3),
        ("teacher", "train", "seed"): (9, 3),
        ("teacher", "train", "bf16"): (9, 2),
        ("strategy",): (0, 0),
    }.items():
        assert line_of(file, location) == place


KEYS = ["name", "seed", "plugins", "extends", "grid", "matrix", "data", "data.path", "data.max_length", "data.splits"]
KEYS += ["train.learning_rate", "train.max_steps", "strategy", "strategy.name", "strategy.temperature", "student"]
KEYS += ["strategy.weights", "student.shape", "student.start", "stages", "stages.general", "evaluate.measures"]
KEYS += ["evaluate.sets.more.data", "teacher.models", "teachers", "report.depths", "data.passages", "data.validation"]
ODD = ["1e400", "-1e400", "nan", "inf", "9" * 90, "-1", "0", "true", '""', '"a\\u0000"', "[]", "{}", "[[]]", "[{}]"]
ODD += ["[1, 'a']", "{a = 1}", "{'' = 1}", "1979-05-27", "07:32:00", "'x'", '"\\U0001F600"', "[nan]", "{name = 1}"]


@settings(calm, max_examples=40)
@given(st.sampled_from(KEYS), st.sampled_from(ODD))
def test_a_recipe_of_strange_values_is_read_or_refused(tiny_recipe: Path, key: str, value: str) -> None:
    recipe = tiny_recipe.with_name("strange.toml")
    recipe.write_text(f"{key} = {value}\n" if "." not in key else f'extends = "tiny.toml"\n{key} = {value}\n')
    for overrides in ([], [f"{key}={value}"]):
        try:
            load_recipe(recipe if not overrides else tiny_recipe, overrides)
        except UserError:
            continue


def test_recipes_that_extend_each_other_without_end(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}.toml").write_text(f'extends = "{number + 1}.toml"\n')
    with pytest.raises(UserError, match="extends more than 20 recipes"):
        load_recipe(tmp_path / "0.toml")
    (tmp_path / "large.toml").write_text("#" * 2_000_000)
    with pytest.raises(UserError, match="larger than"):
        load_recipe(tmp_path / "large.toml")


@calm
@given(st.text(alphabet="nDCGRPA@10(rel=2)[]{}:',-+*~ jx\0é", max_size=30) | st.text(max_size=30))
def test_the_name_of_a_measure_is_one_or_is_refused(text: str) -> None:
    try:
        canonical_all(text)
    except UserError:
        return


@pytest.mark.parametrize("text", ["-" * 150 + "1", "(" * 150, "nDCG@" + "-" * 100_000 + "1", "nDCG@" + "9" * 5000])
def test_long_names_of_measures(text: str) -> None:
    with pytest.raises(UserError):
        canonical_all(text)
