"""Saving any of the rankers, so that `load_ranker` and the library of its kind load it and score as we do."""

import string
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from distilkit.data.side_tokens import DOCUMENT_LENGTH, MARKERS, QUERY_LENGTH
from distilkit.files import atomic_folder, read_json, write_json, write_text
from distilkit.models.card import model_card
from distilkit.models.cat import BertCat
from distilkit.models.export import ENTRY, save_cat, save_tokenizer
from distilkit.models.options import ColBertOptions
from distilkit.models.ranker import Ranker, SideRanker
from distilkit.models.silence import silent
from distilkit.models.tk import Tk
from distilkit.models.weights import ENCODERS

POOLING_MODES = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
DENSE = {"activation_function": "torch.nn.modules.linear.Identity"}
TAGS = {
    "bert_dot": ["sentence-transformers", "bi-encoder"],
    "colbert": ["ColBERT", "PyLate", "late-interaction"],
    "prettr": ["prettr"],
    "tk": ["tk"],
}
LOADS_IN = {
    "bert_dot": "It loads in sentence-transformers (`SentenceTransformer`, dot product), which cuts queries too "
    "to {document} tokens.",
    "colbert": "It loads in PyLate (`ColBERT`) and in sentence-transformers (`MultiVectorEncoder`).",
    "prettr": "It loads in distilkit (`load_ranker`).",
    "tk": "It loads in distilkit (`load_ranker`).",
}


def save_ranker(
    ranker: Ranker,
    tokenizer: Any,
    folder: Path,
    *,
    max_length: int | None = None,
    query_length: int = QUERY_LENGTH,
    document_length: int = DOCUMENT_LENGTH,
    name: str | None = None,
    base_model: str | None = None,
    facts: Mapping[str, Any] | None = None,
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
    """
    if isinstance(ranker, BertCat):
        if max_length is None:
            raise ValueError("a bert_cat is saved with the max_length of its pairs")
        save_cat(ranker, tokenizer, folder, max_length=max_length, name=name, base_model=base_model, facts=facts)
        return
    entry = {
        "architecture": ranker.architecture,
        "options": asdict(ranker.options),
        "query_length": query_length,
        "document_length": document_length,
    }
    with atomic_folder(folder) as temporary, silent():
        _write_config(ranker, temporary, entry)
        save_tokenizer(tokenizer, temporary, document_length)
        _WRITERS[ranker.architecture](ranker, temporary, entry)
        write_text(temporary / "README.md", _card(ranker, entry, name or folder.name, base_model, facts or {}))


def _write_config(ranker: SideRanker, folder: Path, entry: Mapping[str, Any]) -> None:
    ranker.config.save_pretrained(folder)
    values = read_json(folder / "config.json")
    classes = [type(ranker.encoder).__name__] if not isinstance(ranker, Tk) else ["Tk"]
    if ranker.architecture == "colbert":
        classes = ["HF_ColBERT"]
    write_json(folder / "config.json", {**values, "architectures": classes, "dtype": "float32", ENTRY: entry})


def _write_dot(ranker: Any, folder: Path, entry: Mapping[str, Any]) -> None:
    _write_weights(ranker.encoder.state_dict(), folder)
    modules = ["Transformer", "Pooling"]
    values = {f"pooling_mode_{mode}": mode == "cls_token" for mode in POOLING_MODES}
    (folder / "1_Pooling").mkdir()
    write_json(folder / "1_Pooling/config.json", {"word_embedding_dimension": ranker.hidden_size, **values})
    if ranker.compressor is not None:
        modules.append("Dense")
        _write_dense(ranker.compressor, folder / "2_Dense")
    _write_modules(modules, folder, entry["document_length"])
    prompts = {"prompts": {"query": "", "document": ""}, "default_prompt_name": None}
    kind = {"model_type": "SentenceTransformer", "similarity_fn_name": "dot"}
    write_json(folder / "config_sentence_transformers.json", {**kind, **prompts})


def _write_colbert(ranker: Any, folder: Path, entry: Mapping[str, Any]) -> None:
    prefix = f"{ranker.encoder.base_model_prefix}."
    prefix = prefix if prefix in ENCODERS else ""
    encoder = {prefix + name: tensor for name, tensor in ranker.encoder.state_dict().items()}
    linear = {f"linear.{name}": tensor for name, tensor in ranker.compressor.state_dict().items()}
    _write_weights({**encoder, **linear}, folder)
    if not is_stanford(ranker.options):
        return
    _write_dense(ranker.compressor, folder / "1_Dense")
    _write_modules(["Transformer", "Dense"], folder, entry["document_length"])
    lengths = {"query_length": entry["query_length"], "document_length": entry["document_length"]}
    options: ColBertOptions = ranker.options
    skipped = list(string.punctuation) if options.skip_punctuation else []
    pylate: dict[str, Any] = {
        "model_type": "ColBERT",
        "similarity_fn_name": "MaxSim",
        "query_prefix": MARKERS["query"],
        "document_prefix": MARKERS["document"],
        "attend_to_expansion_tokens": options.attend_to_masks,
        "do_query_expansion": True,
        "skiplist_words": skipped,
        "prompts": {},
        "default_prompt_name": None,
    }
    write_json(folder / "config_sentence_transformers.json", {**pylate, **lengths})
    stanford = {
        "query_token_id": MARKERS["query"],
        "doc_token_id": MARKERS["document"],
        "query_token": "[Q]",
        "doc_token": "[D]",
        "dim": ranker.compressor.out_features,
        "query_maxlen": entry["query_length"],
        "doc_maxlen": entry["document_length"],
        "mask_punctuation": options.skip_punctuation,
        "attend_to_mask_tokens": options.attend_to_masks,
        "similarity": "cosine",
    }
    write_json(folder / "artifact.metadata", stanford)


def _write_prettr(ranker: Any, folder: Path, entry: Mapping[str, Any]) -> None:
    head = {"_classification_layer.weight": ranker.state_dict()["_classification_layer.weight"]}
    _write_weights({**ranker.encoder.state_dict(), **head}, folder)


def _write_tk(ranker: Any, folder: Path, entry: Mapping[str, Any]) -> None:
    _write_weights(ranker.state_dict(), folder)


_WRITERS = {"bert_dot": _write_dot, "colbert": _write_colbert, "prettr": _write_prettr, "tk": _write_tk}


def is_stanford(options: ColBertOptions) -> bool:
    """Tell whether PyLate scores as these options do: it always normalises, and fills queries with MASKs at the end."""
    filled = options.query_masks == "fill" and options.mask_position == "after_sep"
    return bool(options.normalise and options.markers and filled and not options.bias)


def _write_modules(kinds: list[str], folder: Path, length: int) -> None:
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
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})


def _write_dense(layer: torch.nn.Linear, folder: Path) -> None:
    folder.mkdir()
    sizes = {"in_features": layer.in_features, "out_features": layer.out_features, "bias": layer.bias is not None}
    write_json(folder / "config.json", {**DENSE, **sizes})
    _write_weights({f"linear.{name}": tensor for name, tensor in layer.state_dict().items()}, folder)


def _write_weights(weights: Mapping[str, Tensor], folder: Path) -> None:
    # Cloned, since safetensors refuses tensors that share memory.
    plain = {name: tensor.detach().cpu().float().clone().contiguous() for name, tensor in weights.items()}
    save_file(plain, folder / "model.safetensors", metadata={"format": "pt"})


def _card(
    ranker: SideRanker, entry: Mapping[str, Any], name: str, base_model: str | None, facts: Mapping[str, Any]
) -> str:
    kind = ranker.architecture
    stanford = kind != "colbert" or is_stanford(ranker.options)
    library = "sentence-transformers" if kind == "bert_dot" else "PyLate" if kind == "colbert" and stanford else ENTRY
    front_matter: dict[str, Any] = {"library_name": library, "pipeline_tag": "text-ranking"}
    front_matter["tags"] = [*TAGS[kind], "reranker", "distillation", "distilkit"]
    if base_model is not None:
        front_matter["base_model"] = base_model
    where = LOADS_IN[kind] if stanford else LOADS_IN["prettr"]
    text = (
        f"A {kind} ranker, distilled with distilkit. Its scores are raw: higher is better. "
        f"{where.format(document=entry['document_length'])} It was trained on queries of at most "
        f"{entry['query_length']} tokens and documents of at most {entry['document_length']}."
    )
    options = {f"{kind}: {option}": value for option, value in entry["options"].items()}
    return model_card(name, text, front_matter, {**facts, **options})
