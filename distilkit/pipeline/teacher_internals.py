"""What a teacher computes inside of a stage's examples: once for all runs that train on them, not in every step."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from distilkit.data.arrays import Integers, packed, unpacked
from distilkit.data.internals import InternalsStore, Layout, Stored, Taught
from distilkit.models.layer_map import LayerMap, layer_map
from distilkit.pipeline.examples import Countable, TaskExamples, TextExamples
from distilkit.pipeline.graph import Artifact, Node
from distilkit.pipeline.models import ModelNode, StoredModel
from distilkit.pipeline.tokens import Reader, TextReader, kept_rows
from distilkit.pipeline.workspace import Workspace
from distilkit.settings import TeacherSettings
from distilkit.strategies.stage import Stage
from distilkit.tables import size
from distilkit.training.precision import Precision

if TYPE_CHECKING:
    from distilkit.models.cat import BertCat

GIGABYTE = 10**9
BATCH = 32
"""Examples of a forward pass at most."""


@dataclass(frozen=True, eq=False)
class TeacherInternals(Artifact[InternalsStore]):
    """A teacher's class logits, and attention scores and hidden states of some layers, of every example of a stage.

    `count` is how many examples there are at most.
    """

    model: ModelNode
    examples: TaskExamples | TextExamples
    reader: Reader | TextReader
    layers: LayerMap
    dtype: Stored
    precision: Precision
    count: int

    kind: ClassVar[str] = "internals"

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """The teacher, the examples and its tokens."""
        return (self.model, self.examples, self.reader, self.reader.tokenizer)

    def identity(self) -> dict[str, Any]:
        """Return the teacher, the examples (in whatever form they are trained on), the tokens, and what is kept how."""
        examples = self.examples
        pairs = examples.identity() if isinstance(examples, TextExamples) else examples.pairs_identity()
        parts = {"model": self.model.key, "pairs": pairs, "tokens": self.reader.key}
        return {**parts, "layers": [*self.layers], "dtype": self.dtype, "precision": self.precision}

    @property
    def layout(self) -> Layout:
        """How much is kept of an example."""
        return Layout(len(self.layers.attention), heads_of(self.model), len(self.layers.states), self.model.size[1])

    @property
    def most_bytes(self) -> int:
        """The bytes of as many examples of the greatest length."""
        return self.count * self.layout.bytes(np.array([max(self.reader.lengths)]), self.dtype)

    def work(self, workspace: Workspace) -> float:
        """Return the seconds of the teacher's forward passes, by their multiply-accumulates."""
        return self.count * workspace.rates.seconds(f"internals {self.key}", self.model.macs(self.reader))

    def build(self, folder: Path, workspace: Workspace) -> dict[str, Any]:
        """Run the teacher over every distinct example once."""
        read: tuple[Node[Any], Node[Any]] = self.examples, self.reader
        examples, tokens = workspace.value(read[0]), workspace.value(read[1])
        keys = np.unique(packed(examples.queries.ravel(), examples.passages.ravel()))
        teacher = self._teacher(workspace).to(workspace.processes.device)
        work = self.work(workspace) / max(1, len(keys))
        with workspace.progress.phase("teacher internals", len(keys), work=work) as phase:
            how = self.dtype, self.precision, isinstance(self.reader, Reader)
            store = keep_internals(folder, teacher, tokens, keys, self.layers, *how, phase.reach)
        return {"examples": len(keys), "bytes": store.layout.bytes(store.lengths, self.dtype)}

    def _teacher(self, workspace: Workspace) -> "BertCat":
        import torch

        from distilkit.models.cat import load_cat

        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        # A language model has no head that scores, and none is read of it.
        teacher = load_cat(workspace.value(self.model), dtype=dtype, require_head=isinstance(self.reader, Reader))
        if (rows := kept_rows(self.reader.tokenizer, workspace)) is not None:
            teacher.keep_rows(rows)
        return teacher

    def open(self, folder: Path, workspace: Workspace) -> InternalsStore:
        """Map the arrays."""
        return InternalsStore.open(folder)


def keep_internals(
    folder: Path,
    teacher: "BertCat",
    tokens: Any,
    keys: Integers,
    layers: LayerMap,
    dtype: Stored,
    precision: Precision,
    scores: bool,
    progress: Callable[[int, int], None],
) -> InternalsStore:
    """Write what a teacher computes inside of some examples to a folder, and map it.

    Args:
        folder: an empty folder
        teacher: in evaluation mode, on the device that computes
        tokens: what makes batches of rows of queries and passages
        keys: the examples, query row x 2^32 + passage row, in ascending order
        layers: whose attention scores and which states are kept
        dtype: the type that they are kept in
        precision: what the teacher computes in
        scores: whether its head's logits are kept too, zeros else
        progress: is told how many of the examples are done
    """
    import torch

    from distilkit.evaluation.rerank import computing, forward_passes
    from distilkit.models.batch import batch_of, on_device

    queries, passages = unpacked(keys)
    lengths, device = tokens.lengths(queries, passages), next(teacher.parameters()).device
    layout = Layout(len(layers.attention), teacher.num_heads, len(layers.states), teacher.hidden_size)
    store, done = InternalsStore.create(folder, layout, keys, lengths, dtype), 0
    with torch.no_grad(), computing(precision, device):
        for batch in forward_passes(lengths, BATCH, device):
            columns = tokens.batch(queries[batch], passages[batch])
            columns.pop("chosen", None)
            read: Any = on_device(batch_of(columns), device)
            found = teacher.forward_internals(read, layers.attention, layers.states)
            classes = teacher.class_logits(found.logits) if scores else None
            store.put(batch, _on_host(classes, found.attentions, found.states, len(batch)))
            done += len(batch)
            progress(done, len(keys))
    for array in (store.classes, store.attentions, store.states):
        if isinstance(array, np.memmap):
            array.flush()
    return store


def _on_host(classes: Any, attentions: Any, states: Any, count: int) -> Taught:
    kept = np.zeros((count, 2), np.float32) if classes is None else classes.float().cpu().numpy()
    return Taught(kept, *([one.float().cpu().numpy() for one in side] for side in (attentions, states)))


@dataclass(frozen=True)
class InternalsChoice:
    """Whether a stage reads what its teacher computed before, and what is to be said of that."""

    internals: TeacherInternals | None = None
    said: str = ""


def choose_internals(
    stage: Stage,
    model: ModelNode,
    student_layers: int,
    examples: Countable[Any],
    reader: Reader | TextReader,
    settings: TeacherSettings,
    precision: Precision,
    workspace: Workspace,
) -> InternalsChoice:
    """Return the teacher's internals that a stage reads, none where the teacher has to take part in every step.

    The choice depends on the recipe and the collection alone, so that a resumed run makes the same.
    """
    dtype = settings.internals
    if dtype == "online" or not stage.uses_internals:
        return InternalsChoice()
    online = f"{stage.name}: the teacher runs in every step: "
    if why := _unkept(stage):
        return InternalsChoice(said=online + why)
    count = _count(examples, workspace)
    if count is None or not isinstance(examples, TaskExamples | TextExamples):
        told = "[general] max_sequences tells" if isinstance(examples, TextExamples) else "only reading tells"
        return InternalsChoice(said=f"{online}{told} how many examples it has")
    if isinstance(examples, TextExamples) and _read(stage, count) < 2 * count:
        return InternalsChoice(said=f"{online}it reads each text less than twice")
    whole = layer_map(stage.layer_map, model.size[0], student_layers)
    layers = LayerMap(
        whole.attention if stage.reads("attention") else (), whole.states if stage.reads("states") else ()
    )
    found = TeacherInternals(model, examples, reader, layers, dtype, precision, count)
    most, limit = found.most_bytes, settings.internals_limit * GIGABYTE
    told = f"the internals of {count} examples take up to {size(most)}"
    if most > limit:
        return InternalsChoice(
            said=f"{online}{told}, more than [teacher] internals_limit = {settings.internals_limit:g} GB"
        )
    return InternalsChoice(found, f"{stage.name}: {told} in {dtype}, computed once for all runs that read them")


def _unkept(stage: Stage) -> str:
    """Return why nothing that the teacher computed before can stand for it; empty where it can."""
    if stage.teacher_mode == "train":
        return "its dropout is on"
    if stage.head != "plain" or stage.counts_padding:
        return "the released code's losses read its padding"
    if stage.reads("masked_lm") or stage.reads("relations"):
        return "a loss reads more than its attention scores and states"
    return ""


def _count(examples: Countable[Any], workspace: Workspace) -> int | None:
    """Return how many examples there are at most, None where that is not known before anything is read."""
    if isinstance(examples, TextExamples):
        return examples.reader.sequences.settings.max_sequences
    return None if examples.to_count else examples.count(workspace)


def _read(stage: Stage, count: int) -> float:
    """Return how many examples a stage reads, each as often as it is read, of so many in one process."""
    train = stage.train
    return train.max_steps * train.batch_size(1) if train.max_steps else count * train.num_train_epochs


def heads_of(model: ModelNode) -> int:
    """Return a teacher's attention heads, by the configuration of the checkpoint that it is, or starts from."""
    folder = model.folder if isinstance(model, StoredModel) else model.start.source.folder  # type: ignore[attr-defined]
    from distilkit.models.checkpoint import Checkpoint

    config = Checkpoint(folder).config
    return int(config.get("num_attention_heads") or config.get("n_heads") or 1)
