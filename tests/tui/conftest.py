"""What the tests of the terminal interface share."""

from pathlib import Path

import pytest
from tui_driving import copy_recorded


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Return a folder of the recorded runs."""
    return copy_recorded(tmp_path / "runs")
