"""The ranker that scores all pairs of a batch for a stage, beside its teacher."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilkit.pipeline.models import ModelNode
from distilkit.pipeline.tokens import Reader
from distilkit.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from distilkit.training.in_batch import InBatchTeacher


@dataclass(frozen=True)
class BatchTeacher:
    """A ranker that scores all pairs of a batch, and the tokens that it reads."""

    model: ModelNode
    reader: Reader

    def opened(self, workspace: Workspace, batch_size: int, untrained: bool) -> "InBatchTeacher":
        """Return the frozen ranker, on the device; with `untrained` as before any training, to be timed."""
        import copy

        from distilkit.training.in_batch import InBatchTeacher

        model = copy.deepcopy(self.model.untrained(workspace, True)) if untrained else self.model.load(workspace)
        ranker: Any = model.eval().requires_grad_(False).to(workspace.processes.device)
        tokens: Any = workspace.value(self.reader)
        return InBatchTeacher(ranker, tokens, batch_size)
