"""A vocabulary cut to what some texts use: the entries that stay, the tokenizer of these, and their embeddings."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer as Backend
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedTokenizerFast

from distilkit.data.arrays import Integers
from distilkit.data.side_tokens import MARKERS
from distilkit.errors import UserError
from distilkit.files import read_json, write_json

TOKENS = ("pad", "bos", "eos", "cls", "sep", "mask", "unk", "decoder_start")


def require_wordpiece(tokenizer: PreTrainedTokenizerFast, where: object) -> None:
    """Raise UserError for a tokenizer whose vocabulary cannot be cut: any that is not WordPiece's, as BERT's is."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    kind = "one written in Python" if backend is None else type(backend.model).__name__
    if kind != "WordPiece":
        raise UserError(
            f'[student] vocabulary = "collection": the tokenizer of {where} is {kind}; expected WordPiece, as in '
            'BERT\'s family (or vocabulary = "whole")'
        )


def used_rows(
    tokenizer: PreTrainedTokenizerFast,
    texts: Iterable[Sequence[str]],
    kept: Sequence[str] = (),
    progress: Callable[[int], None] = lambda done: None,
) -> list[int]:
    """Return the entries of a WordPiece vocabulary that some texts use, in ascending order, and those that always stay.

    These are special tokens, markers, `kept`, and every single character, at a word's start and within it, so that any
    other word is still read, in smaller pieces. WordPiece takes the longest entry that fits, so the texts are read as
    before: the entries that they use are all there, and no longer ones.

    Args:
        tokenizer: the tokenizer of the whole vocabulary
        texts: batches of texts
        kept: more entries that stay, where the vocabulary has them
        progress: is told how many texts are read
    """
    backend = Backend.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    vocabulary: dict[str, int] = backend.get_vocab(with_added_tokens=True)
    within = json.loads(backend.to_str())["model"]["continuing_subword_prefix"]
    always = {*MARKERS.values(), *kept, *tokenizer.added_tokens_encoder}
    rows = {row for word, row in vocabulary.items() if word in always or len(word.removeprefix(within)) == 1}
    rows.update(tokenizer.all_special_ids)
    done = 0
    for batch in texts:
        for encoded in backend.encode_batch_fast(list(batch), add_special_tokens=False):
            rows.update(encoded.ids)
        progress(done := done + len(batch))
    return sorted(rows)


def cut_tokenizer(tokenizer: PreTrainedTokenizerFast, rows: Sequence[int], folder: Path) -> None:
    """Write the tokenizer of some entries to a folder: entry rows[i] of the whole vocabulary is entry i of the cut one.

    Raises ValueError where an entry that the tokenizer adds by itself is not among them.
    """
    place = {row: index for index, row in enumerate(rows)}
    with TemporaryDirectory() as whole:
        tokenizer.save_pretrained(whole)
        state, options = read_json(Path(whole) / "tokenizer.json"), read_json(Path(whole) / "tokenizer_config.json")
    model = state["model"]
    model["vocab"] = {word: place[row] for word, row in model["vocab"].items() if row in place}
    state["truncation"] = state["padding"] = None
    try:
        for token in state["added_tokens"]:
            token["id"] = place[token["id"]]
        state["post_processor"] = _renumbered(state["post_processor"], place)
        if "added_tokens_decoder" in options:
            options["added_tokens_decoder"] = {
                str(place[int(row)]): token for row, token in options["added_tokens_decoder"].items()
            }
    except KeyError as error:
        raise ValueError(f"the tokenizer adds entry {error}, which is not among those that are kept") from None
    write_json(folder / "tokenizer.json", state)
    write_json(folder / "tokenizer_config.json", options)


def _renumbered(state: Any, place: dict[int, int]) -> Any:
    """Return what puts special tokens around texts with their new numbers, whatever kind of it there is."""
    if isinstance(state, dict):
        # A template lists the numbers of a special token; BERT's and RoBERTa's own kinds pair a token with its number.
        return {
            key: [place[row] for row in value] if key == "ids" else _renumbered(value, place)
            for key, value in state.items()
        }
    if isinstance(state, list):
        if len(state) == 2 and isinstance(state[0], str) and type(state[1]) is int:
            return [state[0], place[state[1]]]
        return [_renumbered(one, place) for one in state]
    return state


@torch.no_grad()
def cut_table(table: nn.Module, rows: Integers) -> nn.Embedding:
    """Return some rows of word embeddings, `[V, d]` to `[len(rows), d]`, of one type, device and trainability."""
    weight: Tensor = table.weight  # type: ignore[assignment]
    pad = getattr(table, "padding_idx", None)
    kept = weight.detach()[torch.from_numpy(rows).to(weight.device)]
    found = nn.Embedding(len(kept), kept.shape[1], None if pad is None else _place(rows, pad), _weight=kept)
    found.weight.requires_grad_(weight.requires_grad)
    return found


def renumber(config: PretrainedConfig, rows: Integers) -> None:
    """Change a configuration to what it is for some entries of its vocabulary: their number, and special tokens'."""
    config.vocab_size = len(rows)
    for name in (f"{token}_token_id" for token in TOKENS):
        if isinstance(row := getattr(config, name, None), int):
            setattr(config, name, _place(rows, row))


def _place(rows: Integers, row: int) -> int | None:
    found = np.flatnonzero(rows == row)
    return int(found[0]) if len(found) else None
