"""Packages of distilkit's extras, imported when they are needed."""

from importlib import import_module
from types import ModuleType

from distilkit.errors import UserError


def require(name: str, extra: str, what: str) -> ModuleType:
    """Import and return a package of an extra; raises UserError, which names the extra, where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise UserError(f"{what} needs {package}, which is not installed: pip install 'distilkit[{extra}]'") from None
