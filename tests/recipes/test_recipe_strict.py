"""Recipes are strict: whatever is not right is refused in one sentence that names file, line and key."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from distilkit.errors import UserError
from distilkit.recipe import find_recipe, load_recipe, with_values
from distilkit.settings import Recipe, Section, TrainSettings
from distilkit.strategies import STRATEGIES

RECIPE = """\
name = "small"
seed = 3

[data]
source = "pydocs"

[teacher]
fine_tune = "fine_tune()"

[teacher.train]
max_steps = 5

[strategy]
name = "simplified_tinybert"
temperature = 2.0
weights = { soft = 0.5 }

[train]
learning_rate = 1e-3

[grid]
"train.max_steps" = [1, 2]
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes the recipe with some texts replaced."""

    def write(*changes: tuple[str, str], name: str = "small.toml", text: str = RECIPE) -> Path:
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} is to be replaced once"
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def refusal(path: Path | str, *overrides: str) -> str:
    """Return the sentence with which a recipe is refused."""
    with pytest.raises(UserError) as caught:
        load_recipe(path, list(overrides))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "pydantic" not in sentence
    return sentence


def test_a_recipe_becomes_typed_sections(write: Write) -> None:
    recipe = load_recipe(write())
    assert (recipe.name, recipe.seed, recipe.data.source, recipe.teacher.train.max_steps) == ("small", 3, "pydocs", 5)
    assert recipe.train.learning_rate == 1e-3
    assert recipe.evaluate.measures == ("RR@10", "nDCG@10")
    assert recipe.grid == {"train.max_steps": [1, 2]}
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 4  # type: ignore[misc]


def test_whole_numbers_do_for_fractions(write: Write) -> None:
    recipe = load_recipe(write(("learning_rate = 1e-3", "learning_rate = 1\nwarmup_ratio = 0")))
    assert (recipe.train.learning_rate, recipe.train.warmup_ratio) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        # Unknown keys, at every depth.
        ("seed = 3", "sed = 3", 2, "sed is not a key; did you mean 'seed'?"),
        ("[train]", "[trian]", 18, "trian is not a key; did you mean 'train'?"),
        ('source = "pydocs"', 'sauce = "pydocs"', 5, "[data] sauce is not a key; did you mean 'source'?"),
        ("learning_rate", "learnin_rate", 19, "[train] learnin_rate is not a key; did you mean 'learning_rate'?"),
        ("max_steps = 5", "max_step = 5", 11, "[teacher.train] max_step is not a key; did you mean 'max_steps'?"),
        ("temperature", "temprature", 15, "[strategy] temprature is not a key of simplified_tinybert; did you mean"),
        (
            "soft = 0.5",
            "sofd = 0.5",
            16,
            "[strategy.weights] sofd is not a key of simplified_tinybert; did you mean 'soft'",
        ),
        ("learning_rate", "lr", 19, "[train] lr is not a key; known: adam_epsilon, bf16,"),
        # Wrong types.
        ("seed = 3", 'seed = "3"', 2, 'seed = "3": expected a whole number'),
        ("seed = 3", "seed = 3.5", 2, "seed = 3.5: expected a whole number"),
        ("seed = 3", "seed = true", 2, "seed = true: expected a whole number"),
        ('name = "small"', "name = 5", 1, "name = 5: expected a string"),
        ("learning_rate = 1e-3", 'learning_rate = "1e-3"', 19, '[train] learning_rate = "1e-3": expected a number'),
        ("learning_rate = 1e-3", "learning_rate = true", 19, "[train] learning_rate = true: expected a number"),
        ("learning_rate = 1e-3", "learning_rate = [1e-3]", 19, "[train] learning_rate = [0.001]: expected a number"),
        ("learning_rate = 1e-3", "freeze_embeddings = 1", 19, "[train] freeze_embeddings = 1: expected true or false"),
        ("learning_rate = 1e-3", 'fp16 = "true"', 19, '[train] fp16 = "true": expected true or false'),
        ("learning_rate = 1e-3", "bf16 = 1", 19, "[train] bf16 = 1: expected 'auto', true or false"),
        ("learning_rate = 1e-3", 'bf16 = "yes"', 19, "[train] bf16 = \"yes\": expected 'auto', true or false"),
        ("max_steps = 5", "max_steps = 5.0", 11, "[teacher.train] max_steps = 5.0: expected a whole number"),
        ("temperature = 2.0", "temperature = true", 15, "[strategy] temperature = true: expected a number"),
        ("weights = { soft = 0.5 }", "weights = 0.5", 16, "[strategy] weights = 0.5: expected a table"),
        ("{ soft = 0.5 }", '{ soft = "0.5" }', 16, '[strategy.weights] soft = "0.5": expected a number'),
        ("[data]\nsource =", "data =", 4, 'data = "pydocs": expected a table'),
        ("seed = 3", 'evaluate = { measures = "RR@10" }', 2, '[evaluate] measures = "RR@10": expected a list'),
        ("seed = 3", "evaluate.measures = [5]", 2, "[evaluate] measures[0] = 5: expected a string"),
        # Values out of range.
        ("seed = 3", "seed = -1", 2, "seed = -1: expected a number from 0"),
        ("seed = 3", "seed = 9223372036854775808", 2, "expected a number below"),
        ("seed = 3", "evaluate.measures = []", 2, "[evaluate] measures = []: expected a list of one value or more"),
        ("seed = 3", "student.dropout = 1", 2, "[student] dropout = 1: expected a number below 1"),
        ("seed = 3", "student.num_labels = 3", 2, "[student] num_labels = 3: expected 1 or 2"),
        ("seed = 3", 'student.shape = "3x384"', 2, "expected layers and hidden size, such as 'L3_H384'"),
        ("seed = 3", 'twin.budget = "time"', 2, "expected 'steps', 'compute', 'total_compute' or 'none'"),
        ("learning_rate = 1e-3", "learning_rate = 0", 19, "[train] learning_rate = 0: expected a number above 0"),
        ("learning_rate = 1e-3", "learning_rate = nan", 19, "[train] learning_rate = nan: expected a finite number"),
        ("learning_rate = 1e-3", "learning_rate = inf", 19, "[train] learning_rate = inf: expected a finite number"),
        ("learning_rate = 1e-3", "weight_decay = inf", 19, "[train] weight_decay = inf: expected a finite number"),
        ("learning_rate = 1e-3", "warmup_ratio = 1.5", 19, "[train] warmup_ratio = 1.5: expected a number up to 1"),
        ("learning_rate = 1e-3", "max_steps = 0", 19, "[train] max_steps = 0: expected a number from 1"),
        (
            "learning_rate = 1e-3",
            'lr_scheduler_type = "step"',
            19,
            "expected 'linear', 'constant', 'constant_with_warmup'",
        ),
        ("learning_rate = 1e-3", "bf16 = true\nfp16 = true", 18, "train: fp16 and bf16 are both on; expected one"),
        ("temperature = 2.0", "temperature = 0", 15, "[strategy] temperature = 0: expected a number above 0"),
        ("temperature = 2.0", "temperature = inf", 15, "[strategy] temperature = inf: expected a finite number"),
        ("soft = 0.5", "soft = nan", 16, "[strategy.weights] soft = nan: expected a finite number"),
        # Names that become folders.
        ('"small"', '"../small"', 1, "expected letters, digits and . _ + = -"),
        ('"small"', '".small"', 1, "expected letters, digits and . _ + = -"),
        ('"small"', '"a/b/c"', 1, "expected letters, digits and . _ + = -"),
        ('"small"', r'"a\nb"', 1, r'name = "a\nb": expected letters, digits'),
        ("seed = 3", 'evaluate.sets."../x".split = "dev"', 2, "expected letters, digits and . _ + = -"),
        ("seed = 3", 'evaluate.sets.test.split = "dev"', 2, "[evaluate] itself is the set called test"),
        # What a further query set changes.
        (
            "seed = 3",
            'evaluate.sets.x.splits = "dev"',
            2,
            "[evaluate.sets.x] splits is not a key; did you mean 'spl",
        ),
        (
            "seed = 3",
            'evaluate.sets.x.data.pth = "a"',
            2,
            "[evaluate.sets.x.data] pth is not a key; did you mean",
        ),
        ("seed = 3", "evaluate.sets.x.data.k1 = -1", 2, "[evaluate.sets.x.data] k1 = -1: expected a number from 0"),
        # The strategy.
        ('name = "simplified_tinybert"', 'name = "tinybird"', 14, "no strategy is called 'tinybird'"),
        ('name = "simplified_tinybert"', "name = 5", 14, "[strategy] name = 5; expected one of contrastive,"),
        # The grid.
        ('"train.max_steps"', '"train.max_step"', 22, "[grid] [train] max_step is not a key; did you mean 'max_steps'"),
        ("[1, 2]", '[1, "2"]', 22, '[grid] [train] max_steps = "2": expected a whole number'),
        ("[1, 2]", "[1, 0]", 22, "[grid] [train] max_steps = 0: expected a number from 1"),
        ("[1, 2]", "1", 22, "[grid] train.max_steps = 1: expected a list"),
        ("[1, 2]", "[]", 22, "[grid] train.max_steps = []: expected a list of one value or more"),
        ('"train.max_steps"', '"data.k1"', 22, "[grid] 'data.k1' cannot vary within a run; expected a key of seed,"),
        ('"train.max_steps"', '"name"', 22, "[grid] 'name' cannot vary within a run"),
        ('"train.max_steps"', '"teacher.train.max_steps"', 22, "cannot vary within a run"),
        ('"train.max_steps"', '"trian.max_steps"', 22, "cannot vary within a run; expected a key of seed, student,"),
        ('"train.max_steps"', '"seed.x"', 22, "[grid] seed is a value, not a section"),
        (
            '"train.max_steps"',
            '"strategy.temprature"',
            22,
            "[grid] [strategy] temprature is not a key of simplifi",
        ),
        (
            '"train.max_steps" = [1, 2]',
            '"strategy.temperature" = [1, 0]',
            22,
            "temperature = 0: expected a number above",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(write: Write, old: str, new: str, line: int, message: str) -> None:
    path = write((old, new))
    sentence = refusal(path)
    assert sentence.startswith(f"{path}:{line}: "), sentence
    assert message in sentence


def test_what_must_be_there(write: Write) -> None:
    assert refusal(write(('name = "small"\n', ""))).endswith("small.toml: name is missing")
    no_strategy = RECIPE[: RECIPE.index("[strategy]")]
    assert "small.toml: [strategy] name is missing; expected one of" in refusal(write(text=no_strategy))
    unnamed = write(('name = "simplified_tinybert"\n', ""))
    assert refusal(unnamed) == f"{unnamed}:13: [strategy] name is missing; expected one of {', '.join(STRATEGIES)}"


def test_broken_toml_names_the_line(write: Write) -> None:
    assert re.search(r"small.toml: not valid TOML: .*at line 2", refusal(write(("seed = 3", "seed = three"))))
    path = write()
    path.write_bytes(b'name = "\xff"\n')
    assert "not valid TOML" in refusal(path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("simplified_tinybret", "no such recipe: simplified_tinybret; did you mean 'simplified_tinybert'?"),
        ("recipes/simplified_tinybret.toml", "did you mean 'simplified_tinybert'?"),
        ("msmarco/simplified_tinyberd", "did you mean 'msmarco/simplified_tinybert'?"),
        (".", "no such recipe: .; known: "),
    ],
)
def test_no_such_recipe(given: str, message: str) -> None:
    assert message in refusal(given)


@pytest.mark.parametrize(
    "given", ["simplified_tinybert", "recipes/simplified_tinybert.toml", "simplified_tinybert.toml"]
)
def test_a_shipped_recipe_is_found_from_anywhere(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe(given).name == "simplified_tinybert.toml"


def test_a_grid_point_leaves_the_rest_alone(write: Write) -> None:
    recipe = load_recipe(write())
    point = with_values(recipe, {"train.max_steps": 2, "strategy.temperature": 5.0, "seed": 9})
    assert (point.train.max_steps, point.strategy["temperature"], point.seed) == (2, 5.0, 9)
    assert point.train.learning_rate == recipe.train.learning_rate
    assert (recipe.train.max_steps, recipe.seed) == (None, 3)
    assert with_values(recipe, {}) == recipe


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key of a section and those below it."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, f"{prefix}{name}.")


def test_every_key_explains_itself() -> None:
    found = dict(keys(Recipe))
    assert "teacher.train.learning_rate" in found
    for name, field in found.items():
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        sections = [kind for kind in kinds if issubclass(kind, Section)]
        text = (sections[0].__doc__ if sections and not field.description else field.description) or ""
        assert text.endswith("."), f"{name} has no docstring that is a sentence"


def test_the_defaults_are_valid() -> None:
    assert TrainSettings.model_validate(TrainSettings().model_dump()) == TrainSettings()
    recipe = load_recipe("simplified_tinybert")
    assert Recipe.model_validate(recipe.model_dump(mode="json", by_alias=True)) == recipe


def test_depths_of_a_table_are_depths_that_are_scored(write: Write) -> None:
    path = write(text=RECIPE + "[report]\ndepths = [5, 200]\n[evaluate]\nrerank_depth = 100\n")
    assert re.fullmatch(
        r".*small\.toml:24: \[report\] depths: 200 is beyond \[evaluate\] rerank_depth = 100", refusal(path)
    )
    assert load_recipe(path, ["evaluate.rerank_depth=200"]).report.depths == (5, 200)
