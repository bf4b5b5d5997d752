"""What plug-ins, documents and examples register, forgotten again."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distilkit.data.sources import SOURCES
from distilkit.models import STUDENTS
from distilkit.strategies import STRATEGIES, TERMS

REGISTRIES: tuple[Any, ...] = (STRATEGIES, TERMS, SOURCES, STUDENTS)


@contextmanager
def restored() -> Iterator[None]:
    """Take back afterwards what the block registers, and forget the plug-ins that it reads."""
    kept = [dict(registry._entries) for registry in REGISTRIES]
    yield
    for registry, entries in zip(REGISTRIES, kept, strict=True):
        registry._entries.clear()
        registry._entries.update(entries)
    forget()


def forget(*names: str) -> None:
    """Leave nothing of the plug-ins that were read, nor of what they registered, as a new process would find it."""
    for module in [module for module in sys.modules if module.startswith("distilkit_plugin_")]:
        del sys.modules[module]
    for registry in REGISTRIES:
        for name in names:
            registry._entries.pop(name, None)
