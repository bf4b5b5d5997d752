"""The stages that strategies come to: which losses, in which order, against whom; and how they are shown."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from distilkit.errors import UserError
from distilkit.settings import Recipe, TrainSettings
from distilkit.strategies import STRATEGIES, Stage, parse_strategy
from distilkit.strategies.base import losses_off, resolved_stages, stages_of
from distilkit.strategies.describe import explain, listing
from distilkit.strategies.terms import TERMS, NextTextTerm

INTERNAL = ["attention", "hidden", "embedding"]
GENERAL = ("general", "text", INTERNAL)
LM_GENERAL = ("general", "text", [*INTERNAL, "masked_lm"])
INTERMEDIATE = ("intermediate", "pairs", INTERNAL)


def stages(name: str) -> list[Stage]:
    return parse_strategy(name).stages(TrainSettings(), 1)


def shown(name: str) -> list[tuple[str, str, list[str]]]:
    return [(stage.name, stage.examples, [term.name for term in stage.terms]) for stage in stages(name)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fine_tune", [("fine_tune", "pairs", ["hard"])]),
        ("fine_tune(listwise=1.0)", [("fine_tune", "lists", ["hard", "list"])]),
        ("standard_kd", [("prediction", "pairs", ["soft", "hard"])]),
        ("standard_kd(general=true)", [GENERAL, ("prediction", "pairs", ["soft", "hard"])]),
        ("standard_kd(alpha=1.0)", [("prediction", "pairs", ["soft"])]),
        ("standard_kd(alpha=0.0)", [("prediction", "pairs", ["hard"])]),
        ("tinybert", [GENERAL, INTERMEDIATE, ("prediction", "pairs", ["soft"])]),
        ("tinybert(general=false)", [INTERMEDIATE, ("prediction", "pairs", ["soft"])]),
        ("tinybert(hard_label=true)", [GENERAL, INTERMEDIATE, ("prediction", "pairs", ["soft", "hard"])]),
        ("tinybert(one_step=true)", [GENERAL, ("distil", "pairs", [*INTERNAL, "soft"])]),
        ("simplified_tinybert", [("distil", "pairs", [*INTERNAL, "soft", "hard"])]),
        ("simplified_tinybert(general=true)", [GENERAL, ("distil", "pairs", [*INTERNAL, "soft", "hard"])]),
        (
            "simplified_tinybert(weights={attention=0.0, hard=0.0})",
            [("distil", "pairs", ["hidden", "embedding", "soft"])],
        ),
        ("ranker_distill", [("distil", "pairs", [*INTERNAL, "soft"])]),
        ("ranker_distill(one_step=false)", [INTERMEDIATE, ("prediction", "pairs", ["soft"])]),
        ("lm_distill_fine_tune", [LM_GENERAL, ("fine_tune", "pairs", ["hard"])]),
        ("lm_distill_fine_tune(weights={masked_lm=0.0})", [GENERAL, ("fine_tune", "pairs", ["hard"])]),
        ("lm_distill_ranker_distill", [LM_GENERAL, ("distil", "pairs", [*INTERNAL, "soft"])]),
    ],
)
def test_stages(name: str, expected: list[tuple[str, str, list[str]]]) -> None:
    assert shown(name) == expected


@pytest.mark.parametrize(
    "name", ["tinybert", "simplified_tinybert", "standard_kd", "lm_distill_fine_tune", "lm_distill_ranker_distill"]
)
def test_next_text_is_learned_in_general_stages_alone(name: str) -> None:
    flag = "" if name.startswith("lm") else "general=true, "
    plain, found = stages(f"{name}({flag[:-2]})"), stages(f"{name}({flag}weights={{next_text=0.5}})")
    assert found[1:] == plain[1:]
    assert found[0].terms == (*plain[0].terms, NextTextTerm(0.5))
    assert not found[0].trains_scores  # of passages, so that nothing is validated
    assert found[0].numbers(1, "fp32") != plain[0].numbers(1, "fp32")
    assert stages(f"{name}({flag}weights={{next_text=0.0}})") == plain


def test_next_text_needs_no_judgements() -> None:
    recipe = Recipe.model_validate(
        {
            "name": "unlabelled",
            "strategy": {"name": "tinybert", "hard_label": True, "weights": {"next_text": 1.0}},
            "train": {"labels": "none"},
        }
    )
    names = [[term.name for term in stage.terms] for stage in resolved_stages(recipe)]
    assert names == [[*INTERNAL, "next_text"], INTERNAL, ["soft"]]
    assert losses_off(recipe) == ["without labels the loss hard of the stage prediction is off"]


@pytest.mark.parametrize("options", ["", "temperature=5.0, ", "weights={attention=0.1, soft=3.0}, "])
@pytest.mark.parametrize("variant", ["paper", "released_code"])
def test_both_ablations_together_are_simplified_tinybert(options: str, variant: str) -> None:
    rest = f'{options}variant="{variant}", general=true'
    assert stages(f"tinybert(hard_label=true, one_step=true, {rest})") == stages(f"simplified_tinybert({rest})")
    assert stages(f"tinybert(one_step=true, {rest})") != stages(f"simplified_tinybert({rest})")


@pytest.mark.parametrize("name", ["lm_distill_fine_tune", "lm_distill_ranker_distill"])
def test_the_released_code_distils_no_words(name: str) -> None:
    paper, released = stages(name), stages(f'{name}(variant="released_code")')
    assert paper[0].reads("masked_lm")
    assert not any(stage.reads("masked_lm") for stage in released)
    assert [stage.name for stage in paper] == [stage.name for stage in released]


def test_the_released_codes_head_is_for_tasks_alone() -> None:
    heads = {stage.name: stage.head for stage in stages('tinybert(variant="released_code")')}
    assert heads == {"general": "plain", "intermediate": "relu", "prediction": "relu"}
    reductions = {
        variant: next(term for term in stages(f'tinybert(variant="{variant}")')[-1].terms).reduction
        for variant in ("paper", "released_code")
    }
    assert reductions == {"paper": "batchmean", "released_code": "mean"}


@pytest.mark.parametrize("key", list(STRATEGIES))
def test_whatever_a_strategy_is_told_its_stages_hold_together(key: str) -> None:
    for stage in stages_of(key):
        assert {term.name for term in stage.terms} <= set(TERMS)
        assert key == "curriculum_margin" or stage.train == TrainSettings()
        json.dumps(stage.numbers(1, "fp32"))
    names = {stage.name for stage in stages_of(key)}
    assert {stage.name for stage in STRATEGIES[key]().stages(TrainSettings(), 1)} <= names


def test_groups_of_a_curriculum_share_the_budget_from_the_last_candidates_to_the_first() -> None:
    whole = TrainSettings(num_train_epochs=6.0, max_steps=10, negative_depth=100)
    parts = [stage.train for stage in STRATEGIES["curriculum_margin"]().stages(whole, 1)]
    assert [part.num_train_epochs for part in parts] == [2.0] * 3
    assert [part.max_steps for part in parts] == [4] * 3
    ranges = [(part.negative_range_min, part.negative_range_max) for part in parts]
    assert ranges == [(67, 100), (33, 67), (0, 33)]
    own = {"num_train_epochs", "max_steps", "negative_range_min", "negative_range_max"}
    assert all(part.model_dump(exclude=own) == whole.model_dump(exclude=own) for part in parts)


@pytest.mark.parametrize(
    ("name", "uses_teacher", "internals", "scores_alone", "trains_scores"),
    [
        ("fine_tune", [False], [False], [False], [True]),
        ("standard_kd", [True], [False], [True], [True]),
        ('standard_kd(soft="logit_mse")', [True], [False], [False], [True]),
        ('standard_kd(teacher_mode="train")', [True], [False], [False], [True]),
        ('standard_kd(variant="released_code")', [True], [False], [False], [True]),
        ("standard_kd(alpha=0.0)", [False], [False], [False], [True]),
        ("tinybert", [True] * 3, [True, True, False], [False, False, True], [False, False, True]),
        ("lm_distill_fine_tune", [True, False], [True, False], [False, False], [False, True]),
    ],
)
def test_what_stages_read(
    name: str, uses_teacher: list[bool], internals: list[bool], scores_alone: list[bool], trains_scores: list[bool]
) -> None:
    found = stages(name)
    assert [stage.uses_teacher for stage in found] == uses_teacher
    assert [stage.uses_internals for stage in found] == internals
    assert [stage.uses_scores_alone for stage in found] == scores_alone
    assert [stage.trains_scores for stage in found] == trains_scores


@pytest.mark.parametrize("name", ["tinybert(weights={soft=0.0})", "ranker_distill(one_step=false, weights={soft=0.0})"])
def test_a_stage_without_a_loss_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"\[strategy\]: every loss of the stage 'prediction' has the weight 0"):
        parse_strategy(name)


@pytest.mark.parametrize("key", list(STRATEGIES))
def test_a_strategy_is_explained_with_its_stages(cli: Callable[..., Any], key: str) -> None:
    done = cli("strategies", key)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == key
    for stage in STRATEGIES[key]().stages(TrainSettings(), 1):
        (line,) = [line for line in lines if line.startswith(f"  {stage.name}: ")]
        assert all(f"·{term.name}" in line for term in stage.terms)
    for word in ("Equation", "Paper", "Deviations", "Defaults", "Keys of [strategy]"):
        assert any(line.startswith(word) for line in lines), word
    (row,) = listing(key)
    assert row["stages"] == [stage.name for stage in STRATEGIES[key]().stages(TrainSettings(), 1)]
    # Below each key stands its help, which is indented further.
    below = lines[lines.index("Keys of [strategy]") + 1 :]
    keys = [found[1] for line in below if (found := re.match(r"  (\S+) = ", line))]
    assert keys == list(row["parameters"])


def test_all_are_listed(cli: Callable[..., Any]) -> None:
    done = cli("strategies")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()[2:]] == list(STRATEGIES)
    assert json.loads(cli("strategies", "--json").out) == listing()
    assert "2·list" not in explain("fine_tune")


def test_one_that_there_is_not(cli: Callable[..., Any]) -> None:
    done = cli("strategies", "tinybret")
    assert (done.code, done.out) == (2, "")
    assert "no strategy is called 'tinybret'; did you mean 'tinybert'?" in done.err
