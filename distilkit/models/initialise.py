"""The student's weights before its first stage."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast, overload

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel

from distilkit.errors import UserError
from distilkit.models import STUDENTS
from distilkit.models.cat import BertCat
from distilkit.models.checkpoints import architecture_of, load_encoder, load_ranker
from distilkit.models.encoder import encoder_of, layer_count
from distilkit.models.layer_map import LayerMap, uniform_layer_map
from distilkit.models.load import load_cat
from distilkit.models.options import Options, TkOptions
from distilkit.models.ranker import Ranker, SideRanker
from distilkit.models.references import local_folder
from distilkit.models.shape import Shape, reshaped, set_dropout
from distilkit.models.silence import silent
from distilkit.models.tk import Tk
from distilkit.models.words import glove_table, random_table, scaled_table

__all__ = ["LayerMap", "student_from", "uniform_layer_map"]

LAYER = re.compile(r"(?P<before>(?:^|.*\.)layers?\.)(?P<index>\d+)(?P<after>\..*)")
STARTS = ("random", "first_layers", "every_nth_layer")


@overload
def student_from(
    source: Ranker | Path,
    *,
    architecture: Literal["bert_cat"] = "bert_cat",
    options: Options | None = None,
    shape: str | None = None,
    start: str = "random",
    num_labels: int = 1,
    dropout: float | None = None,
    tokenizer: Any = None,
) -> BertCat: ...


@overload
def student_from(
    source: Ranker | Path,
    *,
    architecture: str,
    options: Options | None = None,
    shape: str | None = None,
    start: str = "random",
    num_labels: int = 1,
    dropout: float | None = None,
    tokenizer: Any = None,
) -> Ranker: ...


def student_from(
    source: Ranker | Path,
    *,
    architecture: str = "bert_cat",
    options: Options | None = None,
    shape: str | None = None,
    start: str = "random",
    num_labels: int = 1,
    dropout: float | None = None,
    tokenizer: Any = None,
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
        num_labels: 1 or 2, for a `bert_cat`
        dropout: sets every dropout probability; by default they stay as the source has them (0 in a `tk`)
        tokenizer: the student's tokenizer, for a `tk` whose vocabulary or embeddings are not the source's
    """
    name = STUDENTS.resolve(architecture)
    if options is not None and not isinstance(options, STUDENTS[name].options):
        raise UserError(f"{name} has no {type(options).__name__}")
    wanted = None if shape is None else Shape.parse(shape)
    if name == "bert_cat":
        return _cat(source, wanted, start, num_labels, dropout).train()
    if name == "tk":
        chosen = cast(TkOptions, options or TkOptions())
        return _tk(source, chosen, wanted, start, dropout, tokenizer).train()
    return _around_encoder(source, name, options, wanted, start, dropout).train()


def _cat(source: Ranker | Path, wanted: Shape | None, start: str, num_labels: int, dropout: float | None) -> BertCat:
    encoder = load_cat(source, num_labels=1).encoder if isinstance(source, Path) else _encoder(source)
    if start in STARTS:
        student = _fresh_cat(encoder.config, wanted or Shape.of(encoder.config), num_labels, dropout)
        if start != "random":
            _copy_layers(encoder, student.encoder, start)
        return student
    student = load_cat(local_folder(start), num_labels=num_labels, dropout=dropout)
    _require_fit(student.config, encoder.config.vocab_size, wanted, start)
    return student


def _fresh_cat(config: PretrainedConfig, shape: Shape, num_labels: int, dropout: float | None) -> BertCat:
    config = reshaped(config, shape)
    config.num_labels = num_labels
    config.dtype = "float32"
    set_dropout(config, dropout)
    with silent():
        return BertCat(AutoModelForSequenceClassification.from_config(config))


def _around_encoder(
    source: Ranker | Path, name: str, options: Any, wanted: Shape | None, start: str, dropout: float | None
) -> SideRanker:
    theirs = load_encoder(source) if isinstance(source, Path) else _encoder(source)
    make = cast(type[Any], STUDENTS[name].ranker())
    if start in STARTS:
        config = reshaped(theirs.config, wanted or Shape.of(theirs.config))
        config.dtype = "float32"
        set_dropout(config, dropout)
        encoder = encoder_of(config)
        if start != "random":
            _copy_layers(theirs, encoder, start)
        return cast(SideRanker, make(encoder, options or STUDENTS[name].options()))
    folder = local_folder(start)
    if architecture_of(folder) == name:
        student = cast(SideRanker, load_ranker(folder, name, options=options, dropout=dropout))
    else:
        student = make(load_encoder(folder, dropout), options or STUDENTS[name].options())
    _require_fit(student.config, theirs.config.vocab_size, wanted, start)
    return student


def _tk(
    source: Ranker | Path, options: TkOptions, wanted: Shape | None, start: str, dropout: float | None, tokenizer: Any
) -> Tk:
    if wanted is not None:
        options = replace(options, layers=wanted.layers, dim=wanted.hidden)
    if start not in STARTS:
        student = cast(Tk, load_ranker(local_folder(start), "tk", dropout=dropout))
        if wanted is not None and Shape.of(student.config) != wanted:
            raise UserError(f"the student is to have the shape {wanted}, but {start} has {Shape.of(student.config)}")
        return student
    pad = None if tokenizer is None else tokenizer.pad_token_id
    if options.embeddings == "source":
        if isinstance(source, Tk):
            return Tk(source.word_embeddings.weight.detach().clone(), options, dropout or 0.0, pad)
        encoder = load_encoder(source) if isinstance(source, Path) else _encoder(source)
        table = scaled_table(encoder.get_input_embeddings().weight)
        return Tk(table, options, dropout or 0.0, encoder.config.pad_token_id)
    if tokenizer is None:
        raise ValueError("a tk whose embeddings are not its source's is made for a tokenizer")
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    if options.embeddings == "random":
        table = random_table(max(vocabulary.values()) + 1, options.dim or PAPER_SIZE)
    else:
        table = glove_table(Path(options.embeddings).expanduser(), vocabulary)
    return Tk(table, options, dropout or 0.0, pad)


# The size of the paper's word embeddings.
PAPER_SIZE = 300


def _encoder(source: Ranker) -> PreTrainedModel:
    encoder = getattr(source, "encoder", None)
    if encoder is None:
        raise UserError("a tk has no encoder that another student could start from")
    return cast(PreTrainedModel, encoder)


@torch.no_grad()
def _copy_layers(source: PreTrainedModel, student: PreTrainedModel, start: str) -> None:
    hidden, theirs, ours = source.config.hidden_size, layer_count(source.config), layer_count(student.config)
    if hidden != student.config.hidden_size:
        raise UserError(
            f"start = {start!r} copies layers, so the student's hidden size must be the source's: "
            f"{student.config.hidden_size} is not {hidden}"
        )
    if ours > theirs:
        raise UserError(f"start = {start!r}: the source has {theirs} layers, not {ours}")
    chosen: tuple[int, ...] = tuple(range(ours))
    if start == "every_nth_layer":
        chosen = uniform_layer_map(theirs, ours).attention
    weights: dict[str, Tensor] = source.state_dict()
    names = student.state_dict()
    drawn = [name for name in names if _source_name(name, chosen) not in weights]
    if any(".pooler" not in f".{name}" for name in drawn):
        raise UserError(f"start = {start!r}: the source has no weight {_source_name(drawn[0], chosen)}")
    student.load_state_dict(
        {name: weights[_source_name(name, chosen)] for name in names if name not in drawn}, strict=False
    )


def _source_name(name: str, chosen: tuple[int, ...]) -> str:
    """Return the source's name of a student's weight, which differs in the layer's number (ALBERT has none)."""
    match = LAYER.fullmatch(name)
    return name if match is None else f"{match['before']}{chosen[int(match['index'])]}{match['after']}"


def _require_fit(config: PretrainedConfig, vocabulary: int, wanted: Shape | None, start: str) -> None:
    found = Shape.of(config)
    if wanted is not None and found != wanted:
        raise UserError(f"the student is to have the shape {wanted}, but {start} has {found}")
    if config.vocab_size != vocabulary:
        raise UserError(
            f"student and teacher must share one vocabulary: {start} has {config.vocab_size} entries, "
            f"the teacher {vocabulary}"
        )
