"""What the tests of the documentation share."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from distilkit.data.sources import SOURCES
from distilkit.models import STUDENTS
from distilkit.strategies import STRATEGIES, TERMS


@pytest.fixture(autouse=True)
def without_traces() -> Iterator[None]:
    """Forget afterwards what a document or an example registers."""
    registries: tuple[Any, ...] = (STRATEGIES, TERMS, SOURCES, STUDENTS)
    kept = [(registry, dict(registry._entries)) for registry in registries]
    yield
    for registry, entries in kept:
        registry._entries.clear()
        registry._entries.update(entries)
    for name in [name for name in sys.modules if name.startswith("distilkit_plugin_")]:
        del sys.modules[name]
