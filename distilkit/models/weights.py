"""The files that hold a model's weights, and reading them without running code: safetensors, else pytorch_model.bin."""

import pickle  # for the name of its error
import re
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilkit.errors import UserError
from distilkit.files import read_json

if TYPE_CHECKING:
    from torch import Tensor

BIN = "pytorch_model.bin"
# Where a folder of `distilkit export --format onnx` has its graph, as text-embeddings-inference expects it.
ONNX = "onnx/model.onnx"
INDEX = f"{BIN}.index.json"
# What is fetched from a hub repository without safetensors: the weights, and those of a Dense module.
BIN_PATTERNS = ["pytorch_model*.bin", f"*_Dense/{BIN}"]
# How a zip archive begins, which torch.save writes since version 1.6; older files cannot be mapped into memory.
ZIP = b"PK\x03\x04"


def weight_files(folder: Path) -> list[Path]:
    """Return the files that a folder's weights are read from, [] where it has none.

    These are its `*.safetensors`; only where there are none, `pytorch_model.bin` or the shards that its index names.
    Raises UserError for an index that names no files of the folder.
    """
    # A link that leads nowhere, a folder or a pipe is none.
    if found := sorted(file for file in folder.glob("*.safetensors") if file.is_file()):
        return found
    if (folder / BIN).is_file():
        return [folder / BIN]
    return _shards(folder / INDEX) if (folder / INDEX).is_file() else []


def weight_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a folder's weights by name; raises UserError for a file that cannot be read."""
    found: dict[str, tuple[int, ...]] = {}
    for file in weight_files(folder):
        if file.suffix == ".bin":
            found |= {name: tuple(tensor.shape) for name, tensor in _load_bin(file).items()}
        else:
            with _opened(file) as tensors:
                found |= {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    return found


def read_weights(file: Path, names: Collection[str] | None = None) -> "dict[str, Tensor]":
    """Return the tensors of a file by name, all or those that are named; raises UserError where it cannot be read."""
    if file.suffix == ".bin":
        # Copied out of the mapped file; tensors that share memory there are not tied here.
        return {name: one.clone() for name, one in _load_bin(file).items() if names is None or name in names}
    with _opened(file) as tensors:
        return {name: tensors.get_tensor(name) for name in tensors.keys() if names is None or name in names}  # noqa: SIM118


def bin_note(folder: Path) -> str | None:
    """Return what is to be said of a folder whose weights are not safetensors, None for any other."""
    files = [file.name for file in weight_files(folder) if file.suffix == ".bin"]
    if not files:
        return None
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{folder} has no safetensors: its weights are read from {files[0]}{more}, tensors alone"


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(read_json(index)["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{index} cannot be read: expected the table weight_map, weights and the files they are in"
        ) from None
    files = [index.parent / str(name) for name in names]
    for name, file in zip(names, files, strict=True):
        if Path(str(name)).name != name or file.suffix != ".bin" or not file.is_file():
            raise UserError(f"{index} names {name!r}, which is not a file of weights beside it")
    return files


def _load_bin(file: Path) -> "dict[str, Tensor]":
    """Return the tensors of a file of torch.save, mapped into memory where its format allows it; no code is run."""
    import torch

    try:
        with file.open("rb") as opened:
            mapped = opened.read(len(ZIP)) == ZIP
        with warnings.catch_warnings():
            # About pickle's protocol and torch's own old storages.
            warnings.simplefilter("ignore")
            found = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged pickle may raise anything
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code is not None:
            raise UserError(_refusal(file, f"it calls {code[1]}")) from None
        if isinstance(error, pickle.UnpicklingError):
            reason = "it is damaged, or holds something else"
        else:
            reason = (re.split(r"\.?\s*\n|\. ", str(error).strip())[0]) or "it is damaged"
        raise UserError(f"{file} cannot be read as tensors: {reason}") from None
    if not isinstance(found, dict):
        raise UserError(_refusal(file, f"it holds a {type(found).__name__}"))
    for name, value in found.items():
        if not (isinstance(name, str) and isinstance(value, torch.Tensor)):
            raise UserError(_refusal(file, f"{name!r} is a {type(value).__name__}"))
    return {name: tensor.detach() for name, tensor in found.items()}


def _refusal(file: Path, why: str) -> str:
    return f"{file} holds more than tensors by name, and nothing else is read: {why}"


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as tensors:
            yield tensors
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file} cannot be read: {error}") from None
