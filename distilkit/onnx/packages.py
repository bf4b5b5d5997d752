"""The packages of the extra `onnx`, imported when they are needed."""

from importlib import import_module
from types import ModuleType

from distilkit.errors import UserError

INSTALL = "pip install 'distilkit[onnx]'"


def require(name: str, what: str) -> ModuleType:
    """Import and return a package of the extra; raises UserError, which names the extra, where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise UserError(f"{what} needs {package}, which is not installed: {INSTALL}") from None
