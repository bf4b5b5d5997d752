"""Rankers of ONNX folders: every architecture as it is, with onnxruntime in place of its encoder."""

from functools import cache
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor

from distilkit.errors import RunFailed, UserError, first_line
from distilkit.extras import require
from distilkit.models import STUDENTS
from distilkit.models.batch import TokenBatch
from distilkit.models.checkpoint import Checkpoint
from distilkit.models.load import architecture_of, exported_entry, saved_options, saved_prefixes
from distilkit.models.ranker import Ranker
from distilkit.models.silence import silent
from distilkit.models.weights import ONNX


class Session:
    """An ONNX file in onnxruntime, on the CPU, with as many threads as torch takes."""

    def __init__(self, path: Path) -> None:
        onnxruntime = require("onnxruntime", "onnx", f"{path.parent.parent} holds an ONNX file, which")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of classes that are onnxruntime's own
            raise UserError(f"{path} cannot be read as an ONNX file: {first_line(error)}") from None
        self.path = path
        self._names = [one.name for one in self._session.get_inputs()]

    def run(self, batch: TokenBatch) -> Tensor:
        """Return what the graph computes of a batch, on the batch's device."""
        inputs: dict[str, Any] = {}
        for name in self._names:
            given: Tensor | None = getattr(batch, name, None)
            inputs[name] = np.asarray((torch.zeros_like(batch.input_ids) if given is None else given).cpu(), np.int64)
        try:
            found = self._session.run(None, inputs)[0]
        except Exception as error:
            raise RunFailed(f"{self.path} cannot be computed: {first_line(error)}") from None
        return torch.from_numpy(found).to(batch.input_ids.device)


class OnnxRanker(Ranker):
    """What a class of rankers has before it that scores with an ONNX file: its weights are in the file alone.

    Sizes and costs are those of the encoder that it was made of, which is here without weights.
    """

    backend = "onnx"
    session: Session

    @property
    def weight_bytes(self) -> int:
        """The bytes of the file."""
        return self.session.path.stat().st_size

    @property
    def device(self) -> torch.device:
        """The CPU, where onnxruntime computes here."""
        return torch.device("cpu")

    def graph(self, batch: TokenBatch) -> Tensor:
        """Return what the file computes; tokens without content, with which costs are counted, go the usual way."""
        return super().graph(batch) if batch.input_ids.is_meta else self.session.run(batch)

    def _apply(self, *args: Any, **kwargs: Any) -> Self:
        """Stay as it is, on any device and in any precision."""
        return self

    def write(self, folder: Path, lengths: Any) -> None:
        """Refuse to be saved as PyTorch's weights, which it has not."""
        raise UserError("a ranker of an ONNX file cannot be saved again: copy its folder")


def load_onnx(folder: Path) -> Ranker:
    """Load a ranker of an ONNX folder, in evaluation mode.

    Raises UserError for a folder that `distilkit export --format onnx` did not write, a damaged file, and where
    onnxruntime is not installed.
    """
    told, name = exported_entry(folder), architecture_of(folder)
    if told is None or name is None:
        raise UserError(
            f"--backend onnx: {folder} holds no ONNX file of distilkit's: write one with "
            "`distilkit export MODEL --format onnx --output FOLDER`, and name that folder"
        )
    if not (folder / ONNX).is_file():
        raise UserError(f"{folder / ONNX} is missing, which its config.json names")
    session = Session(folder / ONNX)
    kind: Any = STUDENTS[name].ranker()
    options = saved_options(folder, name)
    with silent(), torch.device("meta"):
        ranker = kind.hollow(Checkpoint(folder).encoder_config(), options)
    ranker.__class__ = _with_session(kind)
    ranker.prefixes = options.wrapped(saved_prefixes(folder, name))
    found = cast(OnnxRanker, ranker)
    found.session, found.stored = session, str(told.get("stored"))
    return found.eval()


@cache
def _with_session(kind: Any) -> type[Ranker]:
    return type(f"Onnx{kind.__name__}", (OnnxRanker, kind), {})
