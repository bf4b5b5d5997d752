"""Layers compiled from attention to attention: the same numbers, few compilations, and none where it fails."""

import shutil

import pytest
import torch
from test_packed_encoder import MODELS, batch_of, tiny

from distilkit.models.layers import BERT, FAMILIES, encoder_layers, token_wise
from distilkit.packed import encoder as compiling
from distilkit.packed.batch import Packed
from distilkit.packed.encoder import compiled_agrees, compiled_token_wise, packed_internals

LENGTHS = [[9, 4, 12, 1], [5, 7], [3, 2, 11]]


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Compile without a C++ compiler, and count the functions that are compiled."""
    found: list[int] = []
    whole = torch.compile

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        found.append(len(graph.graph.nodes))
        return graph.forward

    monkeypatch.setattr(compiling.torch, "compile", lambda form, dynamic: whole(form, dynamic=dynamic, backend=backend))
    compiled_token_wise.cache_clear()
    torch._dynamo.reset()
    yield found
    compiled_token_wise.cache_clear()
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize("family", MODELS)
def test_equals_the_plain_pass_and_compiles_once_for_all_lengths(family: str, graphs: list[int]) -> None:
    cat = tiny(family)
    for lengths in LENGTHS:
        packed = Packed.of(batch_of(lengths))
        found, expected = (packed_internals(cat, packed, (1,), (0, 3), compile=one) for one in (True, False))
        for part in ("logits", "states", "attentions"):
            torch.testing.assert_close(getattr(found, part), getattr(expected, part), rtol=0, atol=1e-6)
        gradients = [torch.autograd.grad(one.logits.sum(), [*cat.parameters()]) for one in (found, expected)]
        torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)
    assert len(graphs) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for a CPU with g++")
def test_a_layer_that_compiles_agrees() -> None:
    for family in MODELS:
        assert compiled_agrees(FAMILIES[family], encoder_layers(tiny(family).encoder)[0])


def test_a_layer_that_is_off_or_does_not_compile_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    layer = encoder_layers(tiny("bert").encoder)[0]
    monkeypatch.setattr(compiling, "compiled_token_wise", lambda: lambda seen, asking, *rest: seen * 2 + asking)
    assert not compiled_agrees(BERT, layer)
    assert "the compiled layer is not used on cpu in float32: it is off by" in caplog.text

    def fail(*given: object) -> torch.Tensor:
        raise RuntimeError("no compiler\nhere")

    monkeypatch.setattr(compiling, "compiled_token_wise", lambda: fail)
    assert not compiled_agrees(BERT, layer)
    assert "RuntimeError: no compiler" in caplog.text
    monkeypatch.setattr(compiling, "compiled_token_wise", lambda: token_wise)
    assert compiled_agrees(BERT, layer)
