"""Whether bfloat16 is taken on a processor: by its units, and by measurements that agree."""

import pytest
import torch

from distilkit.errors import UserError
from distilkit.training import precision
from distilkit.training.precision import AutoPrecision, auto_precision, best_times, choose_precision, judged

CPU = torch.device("cpu")


def test_precision_of_a_device() -> None:
    assert choose_precision(False, False, CPU) == "fp32"
    assert choose_precision(True, False, CPU) == "bf16"
    with pytest.raises(UserError, match="needs a GPU"):
        choose_precision("auto", True, CPU)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([(2.0, 1.0)] * 5, "bf16"),
        ([(1.0, 2.0)] * 5, "fp32"),
        ([(1.1, 1.0)] * 5, "fp32"),
        # Other work met float32 in some blocks, or bfloat16.
        ([(1.0, 2.0), (5.0, 2.0), (5.0, 2.0), (5.0, 2.0), (5.0, 2.0)], "fp32"),
        ([(2.0, 1.0), (2.0, 1.0), (2.0, 4.0)], "fp32"),
        # Each block speaks for bfloat16, yet they are too far apart to be believed.
        ([(2.0, 1.0), (6.0, 1.0), (2.0, 1.0)], "fp32"),
        ([(2.0, 1.0), (2.2, 1.1), (1.9, 1.0)], "bf16"),
        # As far apart, yet all of them beyond what other work explains.
        ([(3.3, 1.0), (6.6, 2.0), (3.8, 1.0)], "bf16"),
    ],
)
def test_bf16_is_taken_where_every_block_speaks_for_it(times: list[tuple[float, float]], expected: str) -> None:
    assert judged(times).precision == expected


def test_a_processor_without_units_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "bf16_units", lambda: ())
    found = auto_precision(CPU, lambda units: pytest.fail("measured"))
    assert found == AutoPrecision("fp32", "this processor has no bfloat16 units")


def test_blocks_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "ROUNDS", 2)
    times = best_times()
    assert len(times) == precision.BLOCKS
    assert all(0 < seconds < float("inf") for block in times for seconds in block)


@pytest.mark.parametrize("value", [None, 1, [], {}, {"precision": "bf16"}, {"precision": "fp8", "why": ""}])
def test_what_is_no_stored_decision_is_none(value: object) -> None:
    assert AutoPrecision.read(value) is None
    known = AutoPrecision("bf16", "it is fast")
    assert AutoPrecision.read(known.to_json()) == known
