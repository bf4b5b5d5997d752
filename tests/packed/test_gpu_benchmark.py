"""The benchmark for GPUs: its floors, and what it says where there is no GPU."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from test_packed_encoder import batch_of, tiny
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForSequenceClassification

from distilkit.data.tokens import PairTokens, Template, TokenStore
from distilkit.models.attention import whole_layers
from distilkit.models.cat import BertCat
from distilkit.packed.batch import Packed
from distilkit.packed.encoder import packed_internals
from distilkit.packed.transfer import packed_attention_mse

ROOT = Path(__file__).parents[2]
LENGTHS = [9, 4, 12]


@pytest.fixture
def floors(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import floors

    return floors


def head(size: int) -> int:
    """Return the multiply-accumulates of BERT's pooler and head."""
    return len(LENGTHS) * (size**2 + size)


def test_forward_operations_are_those_counted(floors: ModuleType) -> None:
    cat, packed = tiny("bert").requires_grad_(False), Packed.of(batch_of(LENGTHS))
    # The other forms of attention are not counted.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), whole_layers():
        packed_internals(cat, packed)
    assert counter.get_total_flops() == floors.forward(floors.Shape.of(cat), LENGTHS).operations + 2 * head(16)


def test_operations_of_a_step_are_those_counted(floors: ModuleType) -> None:
    """But for what is computed again: the scores of each model twice, once for the loss and once in its gradient."""
    student, teacher = tiny("bert", 8, layers=2), tiny("bert", 16, layers=4, seed=1)
    packed, map_of = Packed.of(batch_of(LENGTHS)), torch.nn.Linear(8, 16)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # the others are not counted
        with torch.no_grad():
            target = packed_internals(teacher, packed, (1, 3), (0, 2, 4))
        own = packed_internals(student, packed, (0, 1), (0, 1, 2))
        loss = packed_attention_mse(own.attentions, target.attentions, packed.offsets, packed.longest)
        loss = loss + sum((map_of(a) - b).square().mean() for a, b in zip(own.states, target.states, strict=True))
        loss.backward()
    squares = sum(length**2 for length in LENGTHS)
    scores_again = 2 * 2 * 2 * squares * (8 + 16)
    expected = floors.step(floors.Shape.of(teacher), floors.Shape.of(student), LENGTHS).operations
    assert counter.get_total_flops() == expected + scores_again + 2 * (head(16) + head(8))


def test_bytes_of_one_layer_by_hand(floors: ModuleType) -> None:
    assert floors.linear(10, 3, 5).bytes == 2 * (10 * 3 + 3 * 5 + 10 * 5)
    shape = floors.Shape(layers=1, hidden=4, intermediate=8, parameters=100)
    maps = 4 * (10 * 4 + 16 + 10 * 4) + 2 * (10 * 4 + 32 + 10 * 8)
    assert floors.forward(shape, [7, 3]).bytes == 2 * (maps + 4 * 10 * 4)
    # Queries and keys of both models in both passes, two gradients.
    assert floors.transfer(4, 6, [7, 3]).bytes == 2 * 10 * (4 * (4 + 6) + 2 * 4)
    step = floors.step(shape, shape, [7, 3])
    projections = 3 * 2 * floors.linear(10, 4, 4).bytes
    assert step.bytes == 4 * 2 * (maps + 160) + projections + floors.transfer(4, 4, [7, 3]).bytes + 28 * 100
    assert step.seconds(2.0, 4.0) == (step.operations / 2, step.bytes / 4)


@pytest.mark.usefixtures("floors")
def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import gpu

    monkeypatch.setattr(sys, "argv", ["gpu"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() == 2
    assert capsys.readouterr() == ("", "this benchmark needs a CUDA GPU, and torch finds none here\n")


@pytest.mark.usefixtures("floors")
def test_its_steps_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, with tiny models: what it measures there means nothing."""
    from benchmarks import gpu, texts

    def models(shape: str) -> tuple[Any, Any]:
        torch.manual_seed(0)
        small = {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 48, "num_labels": 1}
        made = [
            BertCat(BertForSequenceClassification(BertConfig(**small, num_hidden_layers=layers))) for layers in (1, 2)
        ]
        return made[0], made[1].eval().requires_grad_(False)

    def random_pairs(folder: Path, count: int) -> texts.Pairs:
        rng = np.random.default_rng(0)
        stores = []
        for longest in (9, 60):
            lengths = rng.integers(3, longest, count)
            tokens = rng.integers(1000, 2000, lengths.sum())
            stores.append(TokenStore(tokens, np.concatenate([[0], np.cumsum(lengths)]), lengths))
        template = Template(((101,), (102,), (102,)), (0, 0, 0, 1, 1), 0, 0)
        return texts.Pairs([""] * count, [""] * count, PairTokens(*stores, template, 256))

    def milliseconds(work: Callable[[], object], times: int) -> float:
        work()
        return 2.0

    values = {"DEVICE": "cpu", "EXAMPLES": 32, "DEPTH": 20, "models": models, "milliseconds": milliseconds}
    for name, value in values.items():
        monkeypatch.setattr(gpu, name, value)
    monkeypatch.setattr(texts, "make_pairs", random_pairs)
    rows = [*gpu.step_rows(1, 8, gpu.Rates(1e12, 1e11)), *gpu.rerank_rows(1)]
    shares = {row.what: row.value.median for row in rows}
    assert len(shares) == len(rows) == 2 * 2 * 4 + 2
    assert all(value > 0 for value in shares.values())
    assert shares["L3_H384: re-ranking 20 passages, packed over padded"] == 1.0
