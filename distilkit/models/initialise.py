"""The student's weights before its first stage."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import xxhash
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from distilkit.errors import UserError
from distilkit.models import STUDENTS
from distilkit.models.encoder import encoder_of, layer_count
from distilkit.models.layer_map import uniform_layer_map
from distilkit.models.load import load_encoder
from distilkit.models.options import Options
from distilkit.models.ranker import Ranker
from distilkit.models.shape import STARTS, Shape, reshaped, set_dropout

# The first number in a name is the layer's; T5 has numbers of its own within one.
LAYER = re.compile(r"(?P<before>(?:^|.*?\.)(?:layers?|blocks?|h)\.)(?P<index>\d+)(?P<after>\..*)")
# The principal directions of the embeddings that were projected last, by their hash.
_KNOWN: dict[str, Tensor] = {}


def student_from(
    source: Ranker | Path,
    *,
    architecture: str = "bert_cat",
    options: Options | None = None,
    shape: str | None = None,
    start: str = "random",
    embeddings: str = "drawn",
    num_labels: int = 1,
    dropout: float | None = None,
    tokenizer: PreTrainedTokenizerFast | None = None,
) -> Ranker:
    """Return a new student, in training mode; what is drawn at random follows torch.manual_seed.

    Args:
        source: the model it takes its encoder, heads and vocabulary from, as a rule the teacher
        architecture: one of `STUDENTS`
        options: that architecture's options, by default the papers'
        shape: `L3_H384`; by default the source's own (or that of the checkpoint that `start` names). For a `tk` these
            are the layers and the size of its own, which replace those of its options
        start: `random`, every weight drawn; `first_layers`, embeddings, pooler and the first layers copied from the
            source; `every_nth_layer`, the same with the layers that the uniform map's attention takes; or a model
            reference, whose checkpoint is the student, or its encoder where it is another architecture. A `tk` shares
            no layer with an encoder: its layers are drawn, and its options say where its embeddings come from
        embeddings: of a `random` start: `drawn`, or `pca`, the source's projected on the principal components of its
            word embeddings
        num_labels: 1 or 2, for a `bert_cat`
        dropout: sets every dropout probability; by default they stay as the source has them (0 in a `tk`)
        tokenizer: the student's tokenizer, for a `tk` whose vocabulary or embeddings are not the source's
    """
    name = STUDENTS.resolve(architecture)
    STUDENTS[name].require_options(options)
    wanted = None if shape is None else Shape.parse(shape)
    origin = Origin(source, wanted, start, embeddings, num_labels, dropout, tokenizer)
    return STUDENTS[name].ranker().begin(origin, options).train()


@dataclass(frozen=True)
class Origin:
    """What a new student is made from; see `student_from` for the fields."""

    source: Ranker | Path
    shape: Shape | None
    start: str
    embeddings: str
    num_labels: int
    dropout: float | None
    tokenizer: PreTrainedTokenizerFast | None

    @property
    def is_checkpoint(self) -> bool:
        """Whether the student starts from a checkpoint of its own, which `start` names."""
        return self.start not in STARTS

    def source_encoder(self) -> PreTrainedModel:
        """Return the source's encoder; raises UserError for a ranker without one."""
        if isinstance(self.source, Path):
            return load_encoder(self.source)
        encoder = getattr(self.source, "encoder", None)
        if encoder is None:
            raise UserError(f"a {self.source.architecture} has no encoder that another student could start from")
        return cast(PreTrainedModel, encoder)

    def new_encoder(self, source: PreTrainedModel) -> PreTrainedModel:
        """Return an encoder of the wanted shape, drawn at random or with layers of the source's."""
        shape = self.shape or Shape.of(source.config)
        config = reshaped(source.config, shape, self.taken(source.config, shape.layers))
        config.dtype = "float32"
        set_dropout(config, self.dropout)
        encoder = encoder_of(config)
        self.copy_layers(source, encoder)
        return encoder

    def taken(self, source: PretrainedConfig, layers: int) -> tuple[int, ...]:
        """Return the layers of the source's that a student of so many has, or is like where it is drawn."""
        theirs = layer_count(source)
        if self.start == "every_nth_layer" and layers <= theirs:
            return tuple(uniform_layer_map(theirs, layers).attention)
        return tuple(range(layers))

    @torch.no_grad()
    def copy_layers(self, source: PreTrainedModel, student: PreTrainedModel) -> None:
        """Copy embeddings, pooler and the layers that `start` names, none where it is `random`."""
        if self.start == "random":
            if self.embeddings == "pca":
                project_embeddings(source, student)
            return
        start = self.start
        hidden, theirs, ours = source.config.hidden_size, layer_count(source.config), layer_count(student.config)
        if hidden != student.config.hidden_size:
            raise UserError(
                f"start = {start!r} copies layers, so the student's hidden size must be the source's: "
                f"{student.config.hidden_size} is not {hidden}"
            )
        if ours > theirs:
            raise UserError(f"start = {start!r}: the source has {theirs} layers, not {ours}")
        chosen = self.taken(source.config, ours)
        weights: dict[str, Tensor] = source.state_dict()
        # What one layer alone has, as T5's first has the biases of all, keeps its name.
        names = {
            name: next((one for one in (_source_name(name, chosen), name) if one in weights), None)
            for name in student.state_dict()
        }
        drawn = [name for name, theirs in names.items() if theirs is None]
        if any(".pooler" not in f".{name}" for name in drawn):
            raise UserError(f"start = {start!r}: the source has no weight {_source_name(drawn[0], chosen)}")
        student.load_state_dict({name: weights[one] for name, one in names.items() if one is not None}, strict=False)

    def require_fit(self, config: PretrainedConfig, vocabulary: int) -> None:
        """Raise UserError where the checkpoint that a student starts from has another shape or vocabulary."""
        found = Shape.of(config)
        if self.shape is not None and found != self.shape:
            raise UserError(f"the student is to have the shape {self.shape}, but {self.start} has {found}")
        if config.vocab_size != vocabulary:
            raise UserError(
                f"student and teacher must share one vocabulary: {self.start} has {config.vocab_size} entries, "
                f"the teacher {vocabulary}"
            )


@torch.no_grad()
def project_embeddings(source: PreTrainedModel, student: PreTrainedModel) -> None:
    """Give a narrower student the source's embeddings by the linear map that keeps most of them.

    The map is V_d of the word embeddings E = U S V^T [V, D]: its d columns are the principal directions of E (not
    centred), so that E V_d V_d^T is the closest table of rank d to E. Tables of positions and token types go through
    the same map, since they are added to the words'. Raises UserError for a student that is wider than the source.
    """
    theirs = source.get_input_embeddings().weight
    ours = student.get_input_embeddings().weight
    if ours.shape[1] > theirs.shape[1]:
        raise UserError(
            f"embeddings = 'pca': the student's embeddings have {ours.shape[1]} dimensions, more than the source's "
            f"{theirs.shape[1]}"
        )
    kept = _directions(theirs)[:, : ours.shape[1]]
    weights, width = source.state_dict(), theirs.shape[1]
    for name, weight in student.named_parameters():
        table = weights.get(name)
        if "embed" in name and table is not None and table.dim() == 2 and table.shape == (len(weight), width):
            weight.copy_((table.double() @ kept).to(weight))


def _directions(table: Tensor) -> Tensor:
    """Return the principal directions of a table's rows, not centred, by falling variance.

    Those of the last table are kept: a suite builds students from one source many times.
    """
    mark = xxhash.xxh3_128_hexdigest(table.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    if mark not in _KNOWN:
        _, found = torch.linalg.eigh(table.double().T @ table.double())  # by rising variance
        _KNOWN.clear()
        _KNOWN[mark] = found.flip(1)
    return _KNOWN[mark]


def _source_name(name: str, chosen: tuple[int, ...]) -> str:
    """Return the source's name of a student's weight, which differs in the layer's number (ALBERT has none)."""
    match = LAYER.fullmatch(name)
    return name if match is None else f"{match['before']}{chosen[int(match['index'])]}{match['after']}"
