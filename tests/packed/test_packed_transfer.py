"""Attention transfer without maps against the loss of padded maps, in each of its forms, gradients included."""

import importlib.util
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from ragged import CASES, SCALES, offsets_of, pad, vectors
from safetensors.torch import load_file
from torch import Tensor

from distilkit.losses import attention_mse
from distilkit.packed import transfer
from distilkit.packed.transfer import QueryKey, packed_attention_mse, tiled_squared_error, written_out_squared_error

PLAIN = {"written out": written_out_squared_error, "tiles": tiled_squared_error}


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """Return what the kernel makes of the cases in Triton's interpreter, which takes a process of its own."""
    path = tmp_path_factory.mktemp("kernel") / "results.safetensors"
    in_a_process("interpreted_kernel.py", path, TRITON_INTERPRET="1")
    return load_file(path)


def in_a_process(script: str, *arguments: Path, **environment: str) -> str:
    """Run a script beside this file that needs Triton, and return what it prints."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    command = [sys.executable, Path(__file__).with_name(script), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment).stdout


@pytest.fixture(params=[*PLAIN, "kernel"])
def computed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Tensor]]:
    """Return a function from a case's name to a form's sum of squared differences and its two gradients."""
    monkeypatch.setattr("distilkit.packed.transfer.ROWS", 5)
    if request.param == "kernel":
        results = request.getfixturevalue("interpreted")
        return lambda name: [results[f"{name}.{part}"] for part in ("value", "query", "key")]

    def compute(name: str) -> list[Tensor]:
        lengths, sizes, dtype = CASES[name]
        return value_and_gradients(PLAIN[request.param], vectors(lengths, sizes, dtype), lengths)

    return compute


def value_and_gradients(form: Callable[..., Tensor], tensors: list[Tensor], lengths: list[int]) -> list[Tensor]:
    value = form(*tensors, offsets_of(lengths), *SCALES)
    return [value.detach(), *torch.autograd.grad(value, tensors[:2])]


def by_maps(tensors: list[Tensor], lengths: list[int]) -> Tensor:
    """Return the loss as the padded path computes it."""
    whole = [pad(one, lengths)[0].transpose(1, 2) for one in tensors]
    own, taught = (
        query @ key.transpose(2, 3) * scale for query, key, scale in zip(whole[::2], whole[1::2], SCALES, strict=True)
    )
    return attention_mse([own], [taught], pad(tensors[0], lengths)[1])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[2] == torch.float32])
def test_equals_the_loss_of_maps(computed: Callable[[str], list[Tensor]], name: str) -> None:
    lengths, sizes, _ = CASES[name]
    tensors, count = vectors(lengths, sizes), 2 * sum(length**2 for length in lengths)
    expected = by_maps(tensors, lengths) * count
    value, *gradients = computed(name)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-5, atol=0)
    for found, other in zip(gradients, torch.autograd.grad(expected, tensors[:2]), strict=True):
        torch.testing.assert_close(found, other, rtol=1e-5, atol=1e-5 * other.abs().max().item())


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_half_precision_is_added_up_in_float32(
    computed: Callable[[str], list[Tensor]], name: str, request: pytest.FixtureRequest
) -> None:
    lengths, sizes, dtype = CASES[name]
    if name == "bfloat16" and "kernel" in request.node.name:
        pytest.skip("Triton's interpreter cannot multiply bfloat16; on a GPU the self-check does")
    wide = [tensor.detach().float().requires_grad_(tensor.requires_grad) for tensor in vectors(lengths, sizes, dtype)]
    value, *gradients = computed(name)
    expected, *others = value_and_gradients(written_out_squared_error, wide, lengths)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=0)
    for found, other in zip(gradients, others, strict=True):
        assert found.dtype == dtype
        assert (found.float() - other).norm() / other.norm() < 5e-3


@pytest.mark.parametrize("plain", PLAIN.values())
def test_gradients_by_differences(plain: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distilkit.packed.transfer.ROWS", 2)
    lengths = [3, 1]
    query, key, *taught = vectors(lengths, (2, 3), torch.float64)

    def loss(query: Tensor, key: Tensor) -> Tensor:
        return plain(query, key, *taught, offsets_of(lengths), *SCALES)

    assert torch.autograd.gradcheck(loss, (query, key))


def test_autocast_does_not_round_the_scores() -> None:
    lengths, sizes, _ = CASES["bfloat16"]
    tensors = vectors(lengths, sizes)
    expected = value_and_gradients(tiled_squared_error, tensors, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        found = value_and_gradients(tiled_squared_error, tensors, lengths)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_layers_are_added_and_divided_by_what_is_asked_for() -> None:
    lengths = [5, 2]
    first, second = vectors(lengths, (4, 8)), vectors(lengths, (4, 8))
    second[0] = second[0] * 2
    own, taught = (
        [QueryKey(*layer[at : at + 2], scale) for layer in (first, second)]
        for at, scale in zip((0, 2), SCALES, strict=True)
    )
    offsets = offsets_of(lengths)
    expected = by_maps(first, lengths) + by_maps(second, lengths)
    torch.testing.assert_close(packed_attention_mse(own, taught, offsets, 5), expected)
    torch.testing.assert_close(packed_attention_mse(own, taught, offsets, 5, normaliser=58), expected / 2)


def test_what_cannot_be_compared_is_refused() -> None:
    layer = QueryKey(torch.ones(3, 2, 4), torch.ones(3, 2, 4), 1.0)
    other = QueryKey(torch.ones(3, 4, 2), torch.ones(3, 4, 2), 1.0)
    with pytest.raises(ValueError, match="2 layers of the student cannot be mapped to 1"):
        packed_attention_mse([layer, layer], [layer], offsets_of([3]), 3)
    with pytest.raises(ValueError, match=r"as many heads .* not 2 and 4"):
        packed_attention_mse([layer], [other], offsets_of([3]), 3)


def test_the_kernels_compile_for_a_gpu(tmp_path: Path) -> None:
    value, gradient = in_a_process("compiled_kernel.py", TRITON_CACHE_DIR=str(tmp_path)).splitlines()
    assert re.fullmatch(r"wgmma\.\S+m64n64k16\.f32\.bf16\.bf16 \d+ bytes", value)
    assert re.fullmatch(
        r"wgmma\.\S+m64n32k16\.f32\.bf16\.bf16 wgmma\.\S+m64n64k16\.f32\.bf16\.bf16 \d+ bytes", gradient
    )


def test_the_self_check_lets_the_kernel_pass(interpreted: dict[str, Tensor]) -> None:
    assert interpreted["self_check"].item()


@pytest.fixture
def unchecked() -> Iterator[None]:
    transfer.self_check.cache_clear()
    yield
    transfer.self_check.cache_clear()


@pytest.mark.parametrize("wrong", ["value", "gradient", "error"])
@pytest.mark.usefixtures("unchecked")
def test_the_self_check_finds_a_wrong_kernel(
    wrong: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*given: Tensor) -> Tensor:
        if wrong == "error":
            raise RuntimeError("no compiler\nand a long story")
        *tensors, _, own_scale, taught_scale = given
        found = written_out_squared_error(*tensors, own_scale, taught_scale)
        return found * 1.01 if wrong == "value" else found.detach() + 1.01 * (found - found.detach())

    module = ModuleType("kernel")
    module.kernel_squared_error = broken
    monkeypatch.setitem(sys.modules, "distilkit.packed.kernel", module)
    with caplog.at_level(logging.WARNING):
        assert [transfer.self_check(torch.device("cpu"), torch.float32) for _ in range(2)] == [False, False]
    assert len(caplog.records) == 1
    expected = "RuntimeError: no compiler" if wrong == "error" else "it is off by"
    assert f"the Triton kernel of attention transfer is not used on cpu in float32: {expected}" in caplog.text
    assert "long story" not in caplog.text
