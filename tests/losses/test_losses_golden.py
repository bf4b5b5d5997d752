"""The losses of TinyBERT and Simplified TinyBERT against numbers from the released code, in float64."""

import math
from typing import Any

import pytest
import torch
from filled_models import fill, filled_bert
from torch import Tensor

from distilkit.losses import attention_mse, embedding_mse, hard_cross_entropy, hidden_mse, soft_cross_entropy
from distilkit.losses.logits import logit_mse, soft_kl_divergence, soft_loss
from distilkit.models.batch import TokenBatch
from distilkit.models.cat import BertCat, CatOutputs
from distilkit.models.layer_map import uniform_layer_map
from distilkit.models.projection import Projections

IDS = [[2, 5, 9, 3, 7, 11, 3, 0, 0, 0], [2, 6, 3, 8, 12, 13, 14, 3, 0, 0]]
TYPES = [[0, 0, 0, 0, 1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1, 1, 0, 0]]
MASK = torch.tensor([[1] * 7 + [0] * 3, [1] * 8 + [0] * 2])
LABELS = torch.tensor([1, 0])
BATCH = TokenBatch(torch.tensor(IDS), MASK, torch.tensor(TYPES))

ATTENTION = [123.2712101030274, 12.867177022526239]
ATTENTION_SUM = 136.13838712555363
ATTENTION_PAPER = [162.09313052471478, 17.936598051272757]
ATTENTION_AFTER_SOFTMAX = [0.08255088108449536, 0.01719621650231101]
STATES = [8.958041964603845, 3.3402411860873187, 3.7252146764361056]
STATES_SUM = 16.02349782712727
STATES_PAPER = [8.446445634645313, 3.545783951034337, 3.7316339005832493]
STUDENT_RELU = [[-0.20863524443635134, 0.13500489027751061], [-0.20909475454807158, 0.1355985961382023]]
STUDENT_PLAIN = [[-0.9060451377752246, 0.5541409960980348], [-0.906204120113433, 0.5543678112656805]]
TEACHER_RELU = [[2.3950475222751146, 3.0182873627033504], [2.3941099152953487, 3.0173233752703763]]
TEACHER_PLAIN = [[4.378715048580349, 5.453796731738877], [4.377132699570231, 5.451967756785981]]
SOFT = {
    (1.0, "mean"): 0.32796419098765706,
    (1.0, "batchmean"): 0.6559283819753141,
    (5.0, "mean"): 0.3457985763783673,
    (5.0, "batchmean"): 0.6915971527567346,
}
HARD = 0.7081443575458426
SIMPLIFIED_TINYBERT = 153.1979935012144
STANDARD_KD = 0.5180542742667498


def close(value: Tensor, expected: float) -> bool:
    return math.isclose(value.item(), expected, rel_tol=0, abs_tol=1e-10)


@pytest.fixture(scope="module")
def student() -> BertCat:
    return filled_bert(layers=2, hidden=8)


@pytest.fixture(scope="module")
def teacher() -> BertCat:
    return filled_bert(layers=4, hidden=16)


@pytest.fixture(scope="module")
def of_teacher(teacher: BertCat) -> CatOutputs:
    layers = uniform_layer_map(4, 2)
    with torch.no_grad():
        return teacher.forward_internals(BATCH, layers.attention, layers.states, head="relu")


@pytest.fixture(scope="module")
def of_student(student: BertCat) -> CatOutputs:
    return student.forward_internals(BATCH, (0, 1), (0, 1, 2), head="relu")


@pytest.fixture(scope="module")
def projected(of_student: CatOutputs) -> tuple[Tensor, ...]:
    projections = Projections(8, 16, states=3).double()
    fill(projections)
    return projections(of_student.states)


def test_attention_per_layer(of_student: CatOutputs, of_teacher: CatOutputs) -> None:
    pairs = list(zip(of_student.attentions, of_teacher.attentions, strict=True))
    for (ours, theirs), released, paper in zip(pairs, ATTENTION, ATTENTION_PAPER, strict=True):
        assert close(attention_mse([ours], [theirs], MASK, "released_code"), released)
        assert close(attention_mse([ours], [theirs], MASK), paper)
        assert not close(attention_mse([ours], [theirs], MASK), released)


def test_attention_sum_of_a_sequence_and_of_a_stack(of_student: CatOutputs, of_teacher: CatOutputs) -> None:
    ours, theirs = of_student.attentions, of_teacher.attentions
    assert close(attention_mse(ours, theirs, MASK, "released_code"), ATTENTION_SUM)
    assert close(attention_mse(torch.stack(ours), torch.stack(theirs), MASK, "released_code"), ATTENTION_SUM)
    assert close(attention_mse(ours, theirs, MASK), sum(ATTENTION_PAPER))


def test_attention_after_the_softmax_is_another_loss(of_student: CatOutputs, of_teacher: CatOutputs) -> None:
    padding = (MASK == 0)[:, None, None, :]
    pairs = zip(of_student.attentions, of_teacher.attentions, strict=True)
    for (ours, theirs), released, after in zip(pairs, ATTENTION, ATTENTION_AFTER_SOFTMAX, strict=True):
        ours, theirs = (scores.masked_fill(padding, -10000.0).softmax(-1) for scores in (ours, theirs))
        assert close(attention_mse([ours], [theirs], MASK, "released_code"), after)
        assert not close(torch.tensor(after), released)


def test_padding_marked_by_an_added_constant_is_found_without_a_mask(
    of_student: CatOutputs, of_teacher: CatOutputs
) -> None:
    # The released code sees the scores after -10000 was added to padded keys, and knows padding by that alone.
    padding = (MASK == 0)[:, None, None, :] * -10000.0
    ours, theirs = ([scores + padding for scores in model.attentions] for model in (of_student, of_teacher))
    assert close(attention_mse(ours, theirs, torch.ones_like(MASK), "released_code"), ATTENTION_SUM)


def test_states(projected: tuple[Tensor, ...], of_teacher: CatOutputs) -> None:
    for ours, theirs, released, paper in zip(projected, of_teacher.states, STATES, STATES_PAPER, strict=True):
        assert close(hidden_mse([ours], [theirs], MASK, "released_code"), released)
        assert close(embedding_mse(ours, theirs, MASK, "released_code"), released)
        assert close(hidden_mse([ours], [theirs], MASK), paper)
        assert close(embedding_mse(ours, theirs, MASK), paper)
        assert not close(hidden_mse([ours], [theirs], MASK), released)
    assert close(hidden_mse(projected, of_teacher.states, MASK, "released_code"), STATES_SUM)
    assert close(hidden_mse(torch.stack(projected), torch.stack(of_teacher.states), MASK), sum(STATES_PAPER))


@pytest.mark.parametrize(
    ("which", "head", "expected", "other"),
    [
        ("student", "relu", STUDENT_RELU, STUDENT_PLAIN),
        ("student", "plain", STUDENT_PLAIN, STUDENT_RELU),
        ("teacher", "relu", TEACHER_RELU, TEACHER_PLAIN),
        ("teacher", "plain", TEACHER_PLAIN, TEACHER_RELU),
    ],
)
def test_logits_of_both_heads(
    request: pytest.FixtureRequest, which: str, head: str, expected: list[list[float]], other: list[list[float]]
) -> None:
    model: BertCat = request.getfixturevalue(which)
    logits = model.logits(BATCH, head=head)  # type: ignore[arg-type]
    torch.testing.assert_close(logits, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-10)
    assert not torch.allclose(logits, torch.tensor(other, dtype=torch.float64), rtol=0, atol=1e-10)


def test_scores_are_the_log_odds_of_the_plain_head(student: BertCat) -> None:
    expected = torch.tensor([second - first for first, second in STUDENT_PLAIN], dtype=torch.float64)
    torch.testing.assert_close(student.score(BATCH), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("temperature", "reduction"), SOFT)
def test_soft(of_student: CatOutputs, of_teacher: CatOutputs, temperature: float, reduction: str) -> None:
    logits = of_student.logits, of_teacher.logits
    assert close(soft_cross_entropy(*logits, temperature, reduction), SOFT[temperature, reduction])  # type: ignore[arg-type]


def test_soft_variants_are_other_losses(of_student: CatOutputs, of_teacher: CatOutputs) -> None:
    logits = of_student.logits, of_teacher.logits
    assert close(soft_cross_entropy(*logits), SOFT[1.0, "batchmean"])
    assert not close(soft_cross_entropy(*logits), SOFT[1.0, "mean"])
    assert not close(soft_cross_entropy(*logits, 5.0, t_squared=True), SOFT[5.0, "batchmean"])
    assert close(soft_cross_entropy(*logits, 5.0, t_squared=True), 25 * SOFT[5.0, "batchmean"])


def test_hard(of_student: CatOutputs) -> None:
    assert close(hard_cross_entropy(of_student.logits, LABELS), HARD)


def test_total_of_simplified_tinybert(
    of_student: CatOutputs, of_teacher: CatOutputs, projected: tuple[Tensor, ...]
) -> None:
    def total(variant: str, reduction: str) -> Tensor:
        logits = of_student.logits, of_teacher.logits
        return (
            attention_mse(of_student.attentions, of_teacher.attentions, MASK, variant)  # type: ignore[arg-type]
            + hidden_mse(projected[1:], of_teacher.states[1:], MASK, variant)  # type: ignore[arg-type]
            + embedding_mse(projected[0], of_teacher.states[0], MASK, variant)  # type: ignore[arg-type]
            + soft_cross_entropy(*logits, reduction=reduction)  # type: ignore[arg-type]
            + hard_cross_entropy(of_student.logits, LABELS)
        )

    assert close(total("released_code", "mean"), SIMPLIFIED_TINYBERT)
    assert not close(total("released_code", "batchmean"), SIMPLIFIED_TINYBERT)
    assert not close(total("paper", "mean"), SIMPLIFIED_TINYBERT)


def test_total_of_standard_kd(of_student: CatOutputs, of_teacher: CatOutputs) -> None:
    logits = of_student.logits, of_teacher.logits
    hard = hard_cross_entropy(of_student.logits, LABELS)
    assert close(0.5 * soft_cross_entropy(*logits, reduction="mean") + 0.5 * hard, STANDARD_KD)
    assert not close(0.5 * soft_cross_entropy(*logits) + 0.5 * hard, STANDARD_KD)


STUDENT_LOGITS = torch.tensor([[1, -0.5], [0.2, 0.3]], dtype=torch.float64)
TEACHER_LOGITS = torch.tensor([[2, -1], [-0.5, 1.5]], dtype=torch.float64)
CLASSES = torch.tensor([0, 1])


# Temperature: cross-entropy over B and classes, over B, Kullback-Leibler over B, then the mixtures with the labels of
# Simplified TinyBERT's code, of Sun et al.'s code and of Hinton et al.
TABLE = {
    1: {
        "ce mean": 0.23221726000622134,
        "ce batchmean": 0.4644345200124427,
        "kl batchmean": 0.18633510691561767,
        "simplified tinybert": 0.3275611145171915,
        "sun": 0.2580362612429853,
        "hinton": 0.44366974452030217,
    },
    5: {
        "ce mean": 0.3379704447812934,
        "ce batchmean": 0.6759408895625868,
        "kl batchmean": 0.014123712009896677,
        "simplified tinybert": 0.38043770690472756,
        "sun": 0.29972568457593507,
        "hinton": 8.660713604046416,
    },
    10: {
        "ce mean": 0.34436300270063025,
        "ce batchmean": 0.6887260054012605,
        "kl batchmean": 0.0036287257291976738,
        "simplified tinybert": 0.383633985864396,
        "sun": 0.3021706277440227,
        "hinton": 34.647752754577105,
    },
}
SOFT_OPTIONS: dict[str, dict[str, Any]] = {
    "ce mean": {"kind": "ce", "reduction": "mean"},
    "ce batchmean": {"kind": "ce", "reduction": "batchmean"},
    "kl batchmean": {"kind": "kl", "reduction": "batchmean"},
    "simplified tinybert": {"kind": "ce", "reduction": "mean"},
    "sun": {"kind": "kl", "reduction": "mean", "t_squared": True},
    "hinton": {"kind": "ce", "reduction": "batchmean", "t_squared": True},
}
MIXED = ("simplified tinybert", "sun", "hinton")


def cell(name: str, temperature: float, **changes: Any) -> Tensor:
    """Return one cell of the table, or of one with other options, by way of the loss that a recipe names."""
    soft = soft_loss(STUDENT_LOGITS, TEACHER_LOGITS, temperature=temperature, **SOFT_OPTIONS[name] | changes)
    hard = hard_cross_entropy(STUDENT_LOGITS, CLASSES)
    return 0.5 * soft + 0.5 * hard if name in MIXED else soft


@pytest.mark.parametrize("temperature", TABLE)
@pytest.mark.parametrize("name", SOFT_OPTIONS)
def test_variants_of_knowledge_distillation(temperature: int, name: str) -> None:
    assert close(hard_cross_entropy(STUDENT_LOGITS, CLASSES), 0.4229049690281617)
    assert close(cell(name, temperature), TABLE[temperature][name])


@pytest.mark.parametrize("temperature", TABLE)
@pytest.mark.parametrize("name", SOFT_OPTIONS)
def test_another_option_is_another_loss(temperature: int, name: str) -> None:
    own = SOFT_OPTIONS[name]
    others = [
        {"kind": "kl" if own["kind"] == "ce" else "ce"},
        {"reduction": "mean" if own["reduction"] == "batchmean" else "batchmean"},
        {"kind": "logit_mse"},
        *([{"t_squared": not own.get("t_squared", False)}] if temperature != 1 else []),
    ]
    for other in others:
        assert not close(cell(name, temperature, **other), TABLE[temperature][name]), other


def test_functions_of_the_table() -> None:
    logits = STUDENT_LOGITS, TEACHER_LOGITS
    assert close(logit_mse(*logits), 0.795)
    assert close(soft_loss(*logits, kind="logit_mse"), 0.795)
    for temperature, row in TABLE.items():
        assert close(soft_cross_entropy(*logits, temperature), row["ce batchmean"])
        assert close(soft_cross_entropy(*logits, temperature, "mean"), row["ce mean"])
        assert close(soft_kl_divergence(*logits, temperature), row["kl batchmean"])
        squared = soft_kl_divergence(*logits, temperature, "mean", t_squared=True)
        assert close(squared, temperature**2 * row["kl batchmean"] / 2)


def test_every_variant_differs_from_the_default(
    of_student: CatOutputs, of_teacher: CatOutputs, projected: tuple[Tensor, ...]
) -> None:
    """What the released code computes, and what looks like it, is not what is computed unless it is asked for."""
    for ours, theirs, *variants in zip(
        of_student.attentions, of_teacher.attentions, ATTENTION, ATTENTION_AFTER_SOFTMAX, strict=True
    ):
        assert not [value for value in variants if close(attention_mse([ours], [theirs], MASK), value)]
    for ours, theirs, released in zip(projected, of_teacher.states, STATES, strict=True):
        assert not close(hidden_mse([ours], [theirs], MASK), released)
        assert not close(embedding_mse(ours, theirs, MASK), released)
