"""A vocabulary cut to what some texts use: texts are read as before, scores stay, and other words are still read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import DOCUMENTS, QUERIES, WORDS, our_scores, sentencepiece, wordpiece, write_bert
from sentence_transformers import CrossEncoder
from tiny_rankers import OPTIONS, save_tiny
from tokenizers import Tokenizer, models, processors
from transformers import PreTrainedTokenizerFast

from distilkit.errors import UserError
from distilkit.models.load import load_ranker, load_tokenizer
from distilkit.models.masked_lm import LmHead
from distilkit.models.save import save_ranker
from distilkit.models.vocabulary import cut_tokenizer, require_wordpiece, used_rows

USED = ["the red apple, the old river", "violin"]


def cut(tokenizer: Any, folder: Path, texts: list[str], *kept: str) -> tuple[Any, Any]:
    """Return a tokenizer cut to some texts, and the entries of the whole vocabulary that it has."""
    rows = used_rows(tokenizer, [texts], kept)
    folder.mkdir(exist_ok=True)
    cut_tokenizer(tokenizer, rows, folder)
    return load_tokenizer(folder), np.array(rows)


def test_what_stays() -> None:
    tokenizer = wordpiece()
    vocabulary = tokenizer.get_vocab()
    read: list[int] = []
    rows = used_rows(tokenizer, [USED[:1], USED[1:]], ["harbour", "no such entry"], read.append)
    words = {word for word, row in vocabulary.items() if row in rows}
    assert words & {*WORDS} == {"the", "red", "apple", "old", "river", "violin", "harbour"}
    assert words >= {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]", "a", "##a", "z", "##z"}
    assert rows == sorted(rows)
    assert read == [1, 2]


@given(texts=st.lists(st.sampled_from([*WORDS, "redapple", "riverbed", "xylophone", "é", "?", "日"]), max_size=12))
@settings(max_examples=60, deadline=None)
def test_texts_of_the_vocabulary_are_read_as_before(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    tokenizer, text = wordpiece(), " ".join(texts[:9])
    small, rows = cut(tokenizer, tmp_path_factory.mktemp("cut"), [text])
    for one in ([text], [text, text]):  # with the special tokens of a text, and of a pair
        assert rows[small(*one)["input_ids"]].tolist() == tokenizer(*one)["input_ids"]
    assert small(text)["token_type_ids"] == tokenizer(text)["token_type_ids"]
    # What the texts do not say is read in smaller pieces, never as something else.
    other = small("harbour planets")["input_ids"]
    assert small.unk_token_id not in other
    assert small.decode(other, skip_special_tokens=True).replace(" ##", "") == "harbour planets"


def test_special_tokens_have_their_new_numbers(tmp_path: Path) -> None:
    tokenizer = wordpiece()
    backend = tokenizer.backend_tokenizer
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    entries = backend.get_vocab()
    # Special tokens behind the words, as in some models.
    moved = {word: len(entries) - 1 - row for word, row in entries.items()}
    last = Tokenizer(models.WordPiece(moved, unk_token="[UNK]"))
    last.normalizer, last.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    last.post_processor = processors.BertProcessing(("[SEP]", moved["[SEP]"]), ("[CLS]", moved["[CLS]"]))
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    whole = PreTrainedTokenizerFast(tokenizer_object=last, **names)
    small, rows = cut(whole, tmp_path / "cut", USED)
    assert len(small) == len(rows) < len(whole)
    assert rows[small("red violin", "apple")["input_ids"]].tolist() == whole("red violin", "apple")["input_ids"]
    for name in names:
        assert rows[getattr(small, f"{name}_id")] == getattr(whole, f"{name}_id")


@pytest.mark.parametrize("architecture", OPTIONS)
def test_scores_stay(architecture: str, tmp_path: Path) -> None:
    base = write_bert(tmp_path / "base", head=True)
    ranker = save_tiny(tmp_path / "whole", base, architecture)
    expected = our_scores(tmp_path / "whole", QUERIES[:1], USED)
    size, parameters = ranker.config.vocab_size, ranker.parameter_count
    small, rows = cut(load_tokenizer(base), tmp_path / "cut", [*USED, QUERIES[0]])
    ranker.keep_rows(rows)
    save_ranker(ranker, small, tmp_path / "model", max_length=24, query_length=8, document_length=16)
    found = load_ranker(tmp_path / "model")
    assert found.config.vocab_size == len(rows) < size
    assert found.parameter_count < parameters
    torch.testing.assert_close(our_scores(tmp_path / "model", QUERIES[:1], USED), expected, rtol=0, atol=1e-6)
    assert our_scores(tmp_path / "model").isfinite().all()


def test_a_peer_loads_it(tmp_path: Path) -> None:
    base = write_bert(tmp_path / "base", head=True)
    ranker = save_tiny(tmp_path / "whole", base, "bert_cat")
    small, rows = cut(load_tokenizer(base), tmp_path / "cut", DOCUMENTS[:2])
    ranker.keep_rows(rows)
    save_ranker(ranker, small, tmp_path / "model", max_length=24)
    theirs = CrossEncoder(str(tmp_path / "model"))
    pairs = [(query, document) for query in QUERIES for document in DOCUMENTS]
    found = theirs.predict(pairs, activation_fn=torch.nn.Identity(), convert_to_tensor=True)
    torch.testing.assert_close(found.cpu(), our_scores(tmp_path / "model").flatten(), rtol=0, atol=1e-5)


def test_a_padding_row_stays_one(tmp_path: Path) -> None:
    ranker = save_tiny(tmp_path / "whole", write_bert(tmp_path / "base", head=True), "bert_dot")
    ranker.encoder.config.pad_token_id = 7
    ranker.encoder.set_input_embeddings(torch.nn.Embedding(60, 16, padding_idx=7))
    ranker.requires_grad_(False)
    ranker.keep_rows(np.array([1, 4, 7, 9]))
    table = ranker.encoder.get_input_embeddings()
    assert (table.padding_idx, ranker.config.pad_token_id, ranker.config.vocab_size) == (2, 2, 4)
    assert not table.weight.requires_grad
    ranker.keep_rows(np.array([0, 1]))
    assert ranker.encoder.get_input_embeddings().padding_idx is None


def test_a_head_predicts_the_kept_entries() -> None:
    torch.manual_seed(1)
    head, table, states = LmHead(8, 6), torch.randn(6, 8), torch.randn(3, 8)
    torch.nn.init.normal_(head.bias)
    rows = np.array([0, 2, 5])
    expected = head(states, table)[:, rows]
    head.requires_grad_(False).keep_rows(rows)
    torch.testing.assert_close(head(states, table[rows]), expected)
    assert not head.bias.requires_grad


@pytest.mark.parametrize("kind", ["xlm-roberta", "t5"])
def test_other_tokenizers_are_refused(kind: str) -> None:
    with pytest.raises(UserError, match=r"the tokenizer of a folder is Unigram; expected WordPiece"):
        require_wordpiece(sentencepiece(kind), "a folder")


def test_a_token_that_is_added_to_texts_must_stay(tmp_path: Path) -> None:
    tokenizer = wordpiece()
    with pytest.raises(ValueError, match="which is not among those that are kept"):
        cut_tokenizer(tokenizer, [0, 1, 2], tmp_path)
