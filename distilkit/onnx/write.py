"""An ONNX folder: a ranker's graph with its tokenizer, what distilkit reads of it, and an example in its card."""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from distilkit.errors import UserError, first_line
from distilkit.extras import require
from distilkit.files import atomic_folder, read_json, write_json, write_text
from distilkit.model_card import CARD, Card, ModelCard
from distilkit.models.batch import TokenBatch
from distilkit.models.checkpoint import ENTRY
from distilkit.models.encoder import encoder_inputs
from distilkit.models.ranker import Ranker
from distilkit.models.save import save_tokenizer, write_config
from distilkit.models.silence import silent
from distilkit.models.weights import ONNX
from distilkit.onnx.example import example

Stored = Literal["fp32", "int8"]

OPSET = 17
# Two texts of unequal length: a graph that was traced without padding would not mask any.
LENGTHS = (8, 5)
# Nodes of a quantised graph that multiply whole numbers.
WHOLE_NUMBERS = ("MatMulInteger", "DynamicQuantizeMatMul", "QGemm", "QLinearMatMul")


def write_onnx(
    ranker: Ranker,
    tokenizer: Any,
    folder: Path,
    stored: Stored,
    lengths: dict[str, int],
    name: str,
    known: ModelCard | None = None,
    license: str | None = None,
) -> None:
    """Write a ranker's graph to `onnx/model.onnx` in a new folder, with its tokenizer and configuration, in one step.

    Batch and length are dynamic. With `stored = "int8"` weights are whole numbers of one byte, a scale a column, and
    what they are multiplied with is rounded to as many as it is computed.

    Args:
        ranker: the ranker, in evaluation mode on the CPU
        tokenizer: its tokenizer
        folder: the folder to write, replaced if it exists
        stored: what the weights are stored as
        lengths: the lengths in tokens that it reads texts to, by key of `[data]`
        name: the card's title
        known: a card of the same ranker, whose results and recipe the new one goes on telling
        license: the hub's word for the licence; by default that of the known card

    Raises UserError for an architecture without a graph, a model that cannot be written as ONNX or quantised, and where
    the extra `onnx` is not installed.
    """
    require_graph(ranker, name)
    require("onnx", "onnx", "--format onnx")
    require("onnxruntime", "onnx", "--format onnx")
    config = copy.deepcopy(ranker.config)
    if hasattr(config, "num_labels") and ranker.reads_pairs:
        config.num_labels = 1
    options, told = asdict(ranker.options), {"stored": stored, "output": ranker.graph_output}
    entry = {"architecture": ranker.architecture, "options": options, **lengths, **ranker.prefixes.entry()}
    model = getattr(ranker, "model", ranker.encoder)
    with atomic_folder(folder) as temporary, silent():
        write_config(config, temporary, type(model).__name__)
        save_tokenizer(tokenizer, temporary, lengths.get("document_length") or lengths["max_length"])
        path = temporary / ONNX
        path.parent.mkdir()
        write_graph(ranker, path, name, types="token_type_ids" in tokenizer("a"))
        if stored == "int8":
            _quantise(path, name)
        written = {**read_json(temporary / "config.json"), **ranker.declares, ENTRY: {**entry, "onnx": told}}
        write_json(temporary / "config.json", written)
        card = Card("onnx", ("onnx", *ranker.tags, "reranker", "distillation", "distilkit"), _text(ranker, stored))
        own = ModelCard.of(card, name, None, {"weights": stored, **lengths}, license)
        own = own.with_facts_of(known) if known else own
        shown = example(ranker, lengths)
        sections = "\n\n".join(part for part in (shown, own.sections) if part)
        write_text(temporary / CARD, ModelCard(own.front, own.title, own.text, sections).to_text())


def require_graph(ranker: Ranker, name: str) -> None:
    """Raise UserError for a ranker of an architecture that has no graph."""
    if ranker.graph_output is None:
        raise UserError(
            f"--format onnx: {name} is a {ranker.architecture}, which is not written as ONNX; a bert_cat, a bert_dot "
            "and a colbert's encoder are"
        )


class _Graph(nn.Module):
    """A ranker as a function of the tensors that its encoder reads."""

    def __init__(self, ranker: Ranker, names: tuple[str, ...]) -> None:
        super().__init__()
        self.ranker, self.names = ranker, names

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.ranker.graph(TokenBatch(**dict(zip(self.names, inputs, strict=True))))


def write_graph(ranker: Ranker, path: Path, name: str, types: bool = True) -> None:
    """Write what a ranker computes of a batch of texts, or of packed pairs, as an ONNX file of dynamic shapes.

    `types` tells whether its tokenizer makes token types, which are an input of the graph then.
    """
    batch = _batch(ranker, types)
    names = tuple(encoder_inputs(getattr(ranker, "model", ranker.encoder), batch))
    axes = {one: {0: "batch", 1: "length"} for one in names}
    graph = _Graph(ranker, names).eval()
    try:
        with torch.no_grad(), _quiet():
            torch.onnx.export(
                graph,
                tuple(getattr(batch, one) for one in names),
                str(path),
                input_names=list(names),
                output_names=[str(ranker.graph_output)],
                dynamic_axes={**axes, str(ranker.graph_output): ranker.graph_axes},
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:  # torch raises what it likes for an operation that ONNX has not
        raise UserError(f"--format onnx: {name} cannot be written as ONNX: {first_line(error)}") from error


def _batch(ranker: Ranker, types: bool) -> TokenBatch:
    """Return a batch with padding, of texts of any token."""
    rows = torch.arange(min(LENGTHS[0], ranker.room or LENGTHS[0]))
    mask = (rows < torch.tensor(LENGTHS)[:, None]).long()
    token = min(max(2, 1 + int(ranker.config.pad_token_id or 0)), ranker.config.vocab_size - 1)
    ids = mask * token
    if isinstance(end := ranker.config.eos_token_id, int):
        ids[torch.arange(len(LENGTHS)), mask.sum(1) - 1] = end  # T5's classifiers look for it
    return TokenBatch(ids, mask, torch.zeros_like(mask) if types else None)


def _quantise(path: Path, name: str) -> None:
    """Replace a graph by one whose weights are whole numbers of one byte."""
    quantization = require("onnxruntime.quantization", "onnx", "--quantize int8")
    onnx = require("onnx", "onnx", "--quantize int8")
    small = path.with_name("int8.onnx")
    try:
        with _quiet():
            quantization.quantize_dynamic(
                path, small, weight_type=quantization.QuantType.QInt8, per_channel=True, reduce_range=True
            )
        nodes = onnx.load(str(small), load_external_data=False).graph.node
    except Exception as error:
        raise UserError(f"--quantize int8: {name} cannot be quantised: {first_line(error)}") from error
    if not any(node.op_type in WHOLE_NUMBERS for node in nodes):
        raise UserError(f"--quantize int8: {name} cannot be quantised: it has no matrix product of weights")
    small.replace(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter and the quantiser say to programmers off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _text(ranker: Ranker, stored: Stored) -> str:
    weights = "in float32" if stored == "fp32" else "quantised to whole numbers of 8 bits"
    return (
        f"A {ranker.architecture} ranker as an ONNX file, `{ONNX}`, {weights}. Its scores are raw: higher is better. "
        "It loads in distilkit (`distilkit.load`, `distilkit rerank`) and in onnxruntime."
    )
