"""What `import distilkit` offers, and what it costs."""

import subprocess
import sys

import pytest

import distilkit


def test_every_public_name_is_there_and_documented() -> None:
    for name in distilkit.__all__:
        value = getattr(distilkit, name)
        assert name == "__version__" or value.__doc__, name
    assert {*distilkit.__all__} <= {*dir(distilkit)}


def test_importing_loads_neither_torch_nor_anything_else_heavy() -> None:
    heavy = ["torch", "transformers", "datasets", "numpy", "pandas", "pyarrow", "pydantic", "scipy", "typer"]
    code = f"import sys, distilkit; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_comparing_and_reading_runs_needs_no_torch() -> None:
    code = "import sys, distilkit; distilkit.runs; distilkit.compare; distilkit.Run; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="trian"):
        distilkit.trian  # type: ignore[attr-defined]  # noqa: B018
