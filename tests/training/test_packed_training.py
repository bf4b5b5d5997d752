"""Training without padding: the losses and gradients of the padded path."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_masked_words import TOKENS, general
from test_masked_words import objective_of as masked_words_of
from tiny_training import FINE_TUNE, SIMPLIFIED, objective_of, stage_of, tiny_bert, trainer_of
from torch import Tensor

from distilkit.models.layers import token_wise
from distilkit.packed import encoder as encoding
from distilkit.packed.batch import Packed
from distilkit.training.step_loader import TrainingSet
from distilkit.training.trainer import Trainer

STRATEGIES = [
    SIMPLIFIED,
    SIMPLIFIED.replace("weights", 'projection="per_state", weights'),
    FINE_TUNE,
    "standard_kd(alpha=0.5)",
    "margin_mse",
]


def losses_and_gradients(trainer: Trainer) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return those of an epoch's first batch."""
    (part,), objective = trainer.loader(0).micro_batches, trainer.objective
    losses = objective(part, trainer.examples.ways, trainer.loader(0).counts)
    losses["loss"].backward()
    gradients = {name: one.grad for name, one in objective.named_parameters() if one.grad is not None}
    return {name: value.detach() for name, value in losses.items()}, gradients


def assert_equal(packed: Trainer, padded: Trainer) -> None:
    assert all(isinstance(batch.tokens, Packed) for batch in packed.loader(0).micro_batches[0])
    assert not any(isinstance(batch.tokens, Packed) for batch in padded.loader(0).micro_batches[0])
    (losses, gradients), (expected, others) = losses_and_gradients(packed), losses_and_gradients(padded)
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-7)
    assert gradients.keys() == others.keys()
    whole = torch.cat([other.ravel() for other in others.values()]).norm()
    for name, other in others.items():
        assert (gradients[name] - other).norm() < 1e-5 * max(other.norm(), 0.1 * whole), name


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_losses_and_gradients_are_those_of_padded_batches(strategy: str, tmp_path: Path) -> None:
    stage = stage_of(strategy)
    packed, padded = (replace(trainer_of(stage, tmp_path, objective_of(stage)), packed=one) for one in (True, False))
    assert_equal(packed, padded)


def test_masked_words_are_found_in_the_one_row(tmp_path: Path) -> None:
    stage = general()
    trainers = [
        replace(
            trainer_of(stage, tmp_path, masked_words_of(stage)),
            examples=TrainingSet.of_texts(TOKENS.continues),
            tokens=TOKENS,
            packed=packed,
        )
        for packed in (True, False)
    ]
    assert_equal(*trainers)


def test_a_run_takes_its_steps_without_padding(tmp_path: Path) -> None:
    stage = stage_of(SIMPLIFIED, max_steps=3)
    values = []
    for packed in (True, False):
        trainer = replace(trainer_of(stage, tmp_path / str(packed)), packed=packed)
        trainer.train()
        values.append([values["loss"] for values in trainer.reporter.of("train").values()])
    assert len(values[0]) == 3
    assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_what_has_no_packed_form_is_padded(tmp_path: Path) -> None:
    """The released code counts padding; and on a CPU nothing is packed that was not asked for."""
    released = stage_of('simplified_tinybert(variant="released_code")')
    assert not replace(trainer_of(released, tmp_path), packed=True).loader.packed
    assert not trainer_of(stage_of(SIMPLIFIED), tmp_path).loader.packed
    other = stage_of(FINE_TUNE)
    student = tiny_bert(2, 8, 1)
    student.config.model_type = "electra"
    trainer = trainer_of(other, tmp_path)
    trainer.objective.student = student
    assert not replace(trainer, packed=True).loader.packed


def test_layers_are_compiled_where_that_is_asked_for_and_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The functions are not really compiled here: see the tests of packed layers."""
    called = []

    def counted(*given: object) -> Tensor:
        called.append(given)
        return token_wise(*given)

    monkeypatch.setattr(encoding, "compiled_token_wise", lambda: counted)
    losses, said = [], []
    for number, (compile_layers, packed) in enumerate([(True, True), (False, True), (True, False)]):
        stage = stage_of(SIMPLIFIED, max_steps=2, torch_compile=compile_layers)
        trainer = replace(trainer_of(stage, tmp_path / str(number)), packed=packed)
        called.clear()
        said.clear()
        monkeypatch.setattr(trainer.reporter, "say", lambda words, **more: said.append(words))
        trainer.train()
        assert bool(called) is (compile_layers and packed)
        assert any("compile has no effect" in words for words in said) is (compile_layers and not packed)
        losses.append([values["loss"] for values in trainer.reporter.of("train").values()])
    assert losses[0] == losses[1] == pytest.approx(losses[2], rel=1e-4)
    monkeypatch.setattr(encoding, "compiled_agrees", lambda *given: False)
    trainer = replace(trainer_of(stage_of(SIMPLIFIED, max_steps=1, torch_compile=True), tmp_path / "off"), packed=True)
    called.clear()
    trainer.train()
    assert not called
