"""Saving any of the rankers, so that `load_ranker` and the library of its kind load it and score as we do."""

import copy
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedTokenizerFast

from distilkit.data.side_tokens import DOCUMENT_LENGTH, QUERY_LENGTH
from distilkit.files import atomic_folder, read_json, write_json, write_text
from distilkit.model_card import CARD, ModelCard
from distilkit.models.checkpoint import ENTRY
from distilkit.models.silence import silent

if TYPE_CHECKING:
    from distilkit.models.ranker import Ranker

DENSE = {"activation_function": "torch.nn.modules.linear.Identity"}
# How a tokenizer was loaded, and a length it was once called with; transformers saves both with it.
STALE_OPTIONS = ("is_local", "local_files_only", "max_length")


def save_ranker(
    ranker: "Ranker",
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    *,
    max_length: int | None = None,
    query_length: int = QUERY_LENGTH,
    document_length: int = DOCUMENT_LENGTH,
    name: str | None = None,
    base_model: str | None = None,
    facts: Mapping[str, object] | None = None,
    known: ModelCard | None = None,
    license: str | None = None,
) -> None:
    """Save a ranker in float32, its tokenizer and a model card, in one step.

    `bert_cat` is saved for `CrossEncoder`, `bert_dot` for `SentenceTransformer`, and `colbert` for PyLate where its
    options are the Stanford form's (PyLate has no other); `prettr` and `tk` load here alone.

    Args:
        ranker: the ranker
        tokenizer: its tokenizer
        folder: the folder to write, replaced if it exists
        max_length: the length in tokens that a bert_cat's pairs are cut to; the others ignore it
        query_length: the length that queries of the others are cut to
        document_length: the length that their documents are cut to
        name: the model card's title; by default the folder's name
        base_model: the hub id of the model it was made from, if it has one
        facts: what else the card tells, by name
        known: a card of the same ranker, whose results and recipe the new one goes on telling
        license: the hub's word for the licence; by default that of the known card
    """
    given = {"max_length": max_length, "query_length": query_length, "document_length": document_length}
    lengths = {key: length for key in ranker.options.text_format.length_keys if (length := given[key]) is not None}
    if not lengths:
        raise ValueError(f"a {ranker.architecture} is saved with the max_length of its pairs")
    options = asdict(ranker.options)
    entry = {"architecture": ranker.architecture, "options": options, **lengths, **ranker.prefixes.entry()}
    card = ranker.card(lengths)
    told = {**(facts or {}), **{f"{ranker.architecture}: {option}": value for option, value in options.items()}}
    with atomic_folder(folder) as temporary, silent():
        ranker.write(temporary, lengths)
        save_tokenizer(tokenizer, temporary, lengths.get("document_length") or lengths["max_length"])
        write_json(temporary / "config.json", {**read_json(temporary / "config.json"), ENTRY: entry})
        own = ModelCard.of(card, name or folder.name, base_model, told, license)
        write_text(temporary / CARD, (own.with_facts_of(known) if known else own).to_text())


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path, max_length: int) -> None:
    """Save a tokenizer that cuts to a length of ours and pads to none."""
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.model_max_length = max_length
    if getattr(tokenizer, "backend_tokenizer", None) is not None:
        # Some published tokenizers pad and cut to a length of their own unless they are told otherwise.
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)
    options = read_json(folder / "tokenizer_config.json")
    kept = {name: value for name, value in options.items() if name not in STALE_OPTIONS}
    write_json(folder / "tokenizer_config.json", kept)


def write_config(config: PretrainedConfig, folder: Path, model_class: str) -> None:
    """Write config.json, which names a class."""
    config.save_pretrained(folder)
    values = read_json(folder / "config.json")
    write_json(folder / "config.json", {**values, "architectures": [model_class], "dtype": "float32"})


def write_weights(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write weights in float32."""
    # Cloned, since safetensors refuses tensors that share memory.
    plain = {name: tensor.detach().cpu().float().clone().contiguous() for name, tensor in weights.items()}
    save_file(plain, folder / "model.safetensors", metadata={"format": "pt"})


def write_modules(kinds: list[str], folder: Path, lengths: Mapping[str, int]) -> None:
    """Write the list of modules that sentence-transformers puts together, and the lengths of the texts.

    Versions before 6 know one length for all texts: they load a folder whose two lengths are equal, and no other.
    """
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": "" if index == 0 else f"{index}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, kind in enumerate(kinds)
    ]
    write_json(folder / "modules.json", modules)
    own = {"max_seq_length": lengths["document_length"], "do_lower_case": False}
    if lengths["query_length"] != lengths["document_length"]:
        own |= lengths
    write_json(folder / "sentence_bert_config.json", own)


def write_dense(layer: torch.nn.Linear, folder: Path) -> None:
    """Write the Dense module of sentence-transformers."""
    folder.mkdir()
    sizes = {"in_features": layer.in_features, "out_features": layer.out_features, "bias": layer.bias is not None}
    write_json(folder / "config.json", {**DENSE, **sizes})
    write_weights({f"linear.{name}": tensor for name, tensor in layer.state_dict().items()}, folder)
