"""The student's weights before training: shapes, starts, and the layer maps."""

import doctest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import FAMILIES, tiny_batch
from torch import nn
from transformers import BertConfig

from distilkit.errors import UserError
from distilkit.models import layer_map
from distilkit.models.attention import ATTENTION
from distilkit.models.cat import BertCat
from distilkit.models.initialise import student_from, uniform_layer_map
from distilkit.models.projection import Projections
from distilkit.models.shape import Shape, reshaped
from distilkit.settings import StudentSettings

BATCH = tiny_batch([7, 4])


@pytest.mark.parametrize(
    ("teacher", "student", "attention", "states"),
    [
        (12, 6, (1, 3, 5, 7, 9, 11), (0, 2, 4, 6, 8, 10, 12)),
        (12, 4, (2, 5, 8, 11), (0, 3, 6, 9, 12)),
        (12, 3, (3, 7, 11), (0, 4, 8, 12)),
        (6, 6, (0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5, 6)),
        (6, 1, (5,), (0, 6)),
    ],
)
def test_uniform_map(teacher: int, student: int, attention: tuple[int, ...], states: tuple[int, ...]) -> None:
    assert uniform_layer_map(teacher, student) == (attention, states)


def test_the_example_of_the_map_runs() -> None:
    assert doctest.testmod(layer_map).failed == 0


@pytest.mark.parametrize(("teacher", "student"), [(12, 5), (4, 6), (6, 0)])
def test_layers_that_do_not_divide(teacher: int, student: int) -> None:
    with pytest.raises(UserError, match=f"the {teacher} layers of the teacher cannot be mapped evenly to {student}"):
        uniform_layer_map(teacher, student)


@pytest.mark.parametrize(
    ("shape", "intermediate"), [("L3_H384", 1536), ("L4_H312", 1200), ("L6_H768", 3072), ("L6_H312", 1248)]
)
def test_shapes(shape: str, intermediate: int) -> None:
    original = BertConfig()
    config = reshaped(original, Shape.parse(shape))
    assert str(Shape.of(config)) == shape
    assert (config.intermediate_size, config.num_attention_heads) == (intermediate, 12)
    assert str(Shape.of(original)) == "L12_H768"


@pytest.mark.parametrize("text", ["L3H384", "l3_h384", "L0_H384", "L3_H384_A12", ""])
def test_what_is_no_shape(text: str) -> None:
    with pytest.raises(UserError, match="a shape is written like 'L3_H384'"):
        Shape.parse(text)


def test_hidden_sizes_that_the_heads_do_not_divide() -> None:
    with pytest.raises(UserError, match="L2_H100 is not a multiple of the 12 attention heads"):
        reshaped(BertConfig(), Shape(2, 100))


@pytest.mark.parametrize("family", FAMILIES)
def test_random_students(tiny: Any, family: str) -> None:
    source = BertCat(tiny(family))
    torch.manual_seed(1)
    student = student_from(source, shape="L2_H8", num_labels=2, dropout=0.0)
    assert student.training
    assert (student.num_layers, student.hidden_size, student.num_heads, student.num_labels) == (2, 8, 2, 2)
    assert source.num_layers == 4
    torch.manual_seed(1)
    again = student_from(source, shape="L2_H8", num_labels=2, dropout=0.0)
    torch.testing.assert_close(student.score(BATCH), again.score(BATCH), rtol=0, atol=0)
    assert not torch.equal(student.score(BATCH), student_from(source, shape="L2_H8", num_labels=2).score(BATCH))
    widths = {module.out_features for module in student.modules() if isinstance(module, nn.Linear)}
    assert 32 in widths


@pytest.mark.parametrize("family", FAMILIES)
def test_projected_embeddings_are_the_closest_of_their_rank(tiny: Any, family: str) -> None:
    source = BertCat(tiny(family))
    torch.manual_seed(1)
    student = student_from(source, shape="L2_H8", embeddings="pca", dropout=0.0)
    theirs = source.encoder.get_input_embeddings().weight.detach().double()
    ours = student.encoder.get_input_embeddings().weight.detach().double()
    if ours.shape[1] == theirs.shape[1]:  # a family whose embeddings have a size of their own
        torch.testing.assert_close(ours @ ours.T, theirs @ theirs.T)
        return
    # Gram matrices agree with the best approximation of rank 8 (Eckart-Young), whatever signs the directions have.
    left, values, _ = torch.linalg.svd(theirs, full_matrices=False)
    best = left[:, :8] * values[:8]
    torch.testing.assert_close(ours @ ours.T, best @ best.T, rtol=1e-4, atol=1e-5)


def test_projected_embeddings_keep_positions_with_words(tiny: Any) -> None:
    source = BertCat(tiny())
    student = student_from(source, shape="L2_H8", embeddings="pca", dropout=0.0)
    words, positions = (source.model.bert.embeddings.word_embeddings, source.model.bert.embeddings.position_embeddings)
    own = student.model.bert.embeddings
    # One map for both: their products are those of the source, but for what the map leaves out.
    _, directions = torch.linalg.eigh(words.weight.double().T @ words.weight.double())
    kept = directions.flip(1)[:, :8]
    expected = (positions.weight.double() @ kept) @ (words.weight.double() @ kept).T
    found = own.position_embeddings.weight.double() @ own.word_embeddings.weight.double().T
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_projected_embeddings_are_refused_where_they_are_not_a_start(tiny: Any) -> None:
    with pytest.raises(UserError, match="more than the source's 16"):
        student_from(BertCat(tiny()), shape="L2_H32", embeddings="pca")
    with pytest.raises(ValueError, match="is for start = 'random'"):
        StudentSettings(start="first_layers", embeddings="pca")
    with pytest.raises(UserError, match=r"\[student.options.tk\] embeddings"):
        student_from(BertCat(tiny()), architecture="tk", embeddings="pca")


def test_random_weights_are_drawn_as_configured(tiny: Any) -> None:
    student = student_from(BertCat(tiny()), shape="L2_H64")
    for name, parameter in student.named_parameters():
        if parameter.dim() == 2 and "embeddings" not in name and "classifier" not in name:
            assert parameter.std().item() == pytest.approx(0.2, rel=0.1)
            assert abs(parameter.mean().item()) < 0.02
        elif name.endswith("bias"):
            assert not parameter.any()


@pytest.mark.parametrize(("start", "chosen"), [("first_layers", (0, 1)), ("every_nth_layer", (1, 3))])
@pytest.mark.parametrize("family", FAMILIES)
def test_copied_layers(tiny: Any, family: str, start: str, chosen: tuple[int, ...]) -> None:
    source = BertCat(tiny(family))
    student = student_from(source, shape="L2_H16", start=start, dropout=0.0)
    assert student.num_layers == 2
    theirs = source.forward_internals(BATCH, (0, 1), range(5))
    ours = student.forward_internals(BATCH, (0, 1), range(3))
    torch.testing.assert_close(ours.states[0], theirs.states[0])
    if start == "first_layers":
        torch.testing.assert_close(list(ours.states), list(theirs.states[:3]))
        torch.testing.assert_close(list(ours.attentions), list(theirs.attentions))
    elif family in ("bert", "roberta", "electra"):
        for mine, layer in enumerate(chosen):
            pairs = zip(
                student.encoder.encoder.layer[mine].parameters(),
                source.encoder.encoder.layer[layer].parameters(),
                strict=True,
            )
            assert all(torch.equal(a, b) for a, b in pairs)


def test_the_pooler_is_copied_and_the_classifier_is_not(tiny: Any) -> None:
    source = BertCat(tiny())
    student = student_from(source, shape="L2_H16", start="first_layers")
    assert torch.equal(student.model.bert.pooler.dense.weight, source.model.bert.pooler.dense.weight)
    assert not torch.equal(student.model.classifier.weight, source.model.classifier.weight)
    # Nothing is shared: training the student leaves its teacher alone.
    assert student.model.bert.pooler.dense.weight.data_ptr() != source.model.bert.pooler.dense.weight.data_ptr()


def test_copied_layers_need_the_sources_size(tiny: Any) -> None:
    source = BertCat(tiny())
    with pytest.raises(UserError, match="the student's hidden size must be the source's: 8 is not 16"):
        student_from(source, shape="L2_H8", start="first_layers")
    with pytest.raises(UserError, match="the source has 4 layers, not 6"):
        student_from(source, shape="L6_H16", start="first_layers")
    with pytest.raises(UserError, match="cannot be mapped evenly"):
        student_from(source, shape="L3_H16", start="every_nth_layer")


def test_a_new_configuration_has_no_fields_that_the_source_has_not(tiny: Any) -> None:
    config = student_from(BertCat(tiny()), shape="L2_H8").config.to_dict()
    assert "layer_types" not in config
    assert ATTENTION not in config.values()


def test_unequal_intermediate_sizes_are_kept_where_layers_are_copied(tiny: Any) -> None:
    source = BertCat(tiny(intermediate_size=24))
    student = student_from(source, shape="L2_H16", start="first_layers")
    assert student.config.intermediate_size == 24


def test_a_checkpoint_as_the_start(saved: Callable[..., Path], tiny: Any) -> None:
    source = BertCat(tiny())
    folder = saved("general", num_hidden_layers=2, hidden_size=8, intermediate_size=32, seed=7)
    student = student_from(source, shape="L2_H8", start=str(folder), dropout=0.0)
    assert student.training
    assert str(Shape.of(student_from(source, start=str(folder)).config)) == "L2_H8"
    torch.testing.assert_close(
        student.score(BATCH),
        BertCat(tiny(num_hidden_layers=2, hidden_size=8, intermediate_size=32, seed=7)).score(BATCH),
        rtol=0,
        atol=1e-6,
    )
    with pytest.raises(UserError, match=r"the student is to have the shape L3_H8, but .* has L2_H8"):
        student_from(source, shape="L3_H8", start=str(folder))
    with pytest.raises(UserError, match=r"share one vocabulary: .* has 41 entries, the teacher 40"):
        student_from(source, start=str(saved("chinese", vocab_size=41)))
    with pytest.raises(UserError, match="no model folder"):
        student_from(source, start="./no/such/model")


def test_a_folder_as_the_source(saved: Callable[..., Path]) -> None:
    student = student_from(saved(), start="first_layers", shape="L1_H16")
    assert (student.num_layers, student.num_labels) == (1, 1)
    assert next(student.parameters()).dtype == torch.float32


def test_projections() -> None:
    states = [torch.randn(2, 3, 8) for _ in range(3)]
    shared, per_state = Projections(8, 16, states=3), Projections(8, 16, states=3, mode="per_state")
    assert [*shared.state_dict()] == ["fit_dense.weight", "fit_dense.bias"]
    assert len([*per_state.parameters()]) == 6
    assert [*per_state.state_dict()][4] == "fit_denses.2.weight"
    for projections in (shared, per_state):
        assert [tuple(state.shape) for state in projections(states)] == [(2, 3, 16)] * 3
    torch.testing.assert_close(per_state(states)[1], states[1] @ per_state.fit_denses[1].weight.T)
    with pytest.raises(ValueError, match="for 3 states, not 2"):
        shared(states[:2])


def test_identity_projections() -> None:
    states = [torch.randn(2, 3, 8) for _ in range(2)]
    none = Projections(8, 8, states=2, mode="identity")
    assert not [*none.parameters()]
    assert none(states)[1] is states[1]
    for mode in ("shared", "per_state"):
        started = Projections(8, 8, states=2, mode=mode, initial="identity")  # type: ignore[arg-type]
        torch.testing.assert_close(list(started(states)), states)
        assert [*started.parameters()]
    for options in ({"mode": "identity"}, {"initial": "identity"}):
        with pytest.raises(UserError, match="states of 8 dimensions need a random projection to the teacher's 16"):
            Projections(8, 16, states=2, **options)  # type: ignore[arg-type]
