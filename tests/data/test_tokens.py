"""Pairs put together from stored tokens are those of the Hugging Face tokenizer itself."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from distilkit.data.texts import Texts, write_texts
from distilkit.data.tokens import PairTokens, Template, TokenStore, cut_pair, tokenizer_identity, write_token_store

WORDS = [f"w{number}" for number in range(30)]
TEMPLATES = {
    "bert": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
    "distilbert": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
    "roberta": ("[CLS] $A [SEP]", "[CLS] $A [SEP] [SEP] $B [SEP]"),
}


def make_tokenizer(family: str, words: list[str] = WORDS, lowercase: bool = True) -> Any:
    """Return a word tokenizer that puts pairs together as a family of models does."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    if lowercase:
        backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    single, pair = TEMPLATES[family]
    specials = [("[CLS]", 2), ("[SEP]", 3)]
    backend.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=specials)
    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if family == "bert" else [])
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=names, **special)


TOKENIZERS = {family: make_tokenizer(family) for family in TEMPLATES}


def text_of(length: int, offset: int = 0) -> str:
    return " ".join(WORDS[(offset + at) % len(WORDS)] for at in range(length))


def store_of(tokenizer: Any, texts: list[str], max_length: int) -> TokenStore:
    """Return the tokens of texts, cut as the store cuts them, in memory."""
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    kept = [np.array(one[:max_length], np.int32) for one in ids]
    starts = np.concatenate([[0], np.cumsum([len(one) for one in kept])]).astype(np.int64)
    return TokenStore(np.concatenate(kept), starts, np.array([len(one) for one in ids], np.int64))


def indices(count: int) -> Any:
    return np.arange(count, dtype=np.int64)


@settings(deadline=None, max_examples=150)
@given(
    family=st.sampled_from(sorted(TEMPLATES)),
    lengths=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=4),
    max_length=st.integers(8, 33),
)
def test_pairs_are_those_of_the_tokenizer(family: str, lengths: list[tuple[int, int]], max_length: int) -> None:
    tokenizer = TOKENIZERS[family]
    queries, passages = [text_of(query) for query, _ in lengths], [text_of(passage, 7) for _, passage in lengths]
    expected = tokenizer(queries, passages, truncation=True, max_length=max_length, padding=True, return_tensors="np")
    ours = PairTokens(
        store_of(tokenizer, queries, max_length),
        store_of(tokenizer, passages, max_length),
        Template.of(tokenizer),
        max_length,
    )
    batch = ours.batch(indices(len(lengths)), indices(len(lengths)))
    assert set(batch) == set(tokenizer.model_input_names)
    for name, column in batch.items():
        np.testing.assert_array_equal(column, expected[name], err_msg=name)
    counted = ours.lengths(indices(len(lengths)), indices(len(lengths)))
    np.testing.assert_array_equal(counted, expected["attention_mask"].sum(axis=1))


@pytest.mark.parametrize("family", TEMPLATES)
@pytest.mark.parametrize("max_length", [16, 17])
def test_both_sides_too_long_keep_half_the_room_each(family: str, max_length: int) -> None:
    tokenizer = TOKENIZERS[family]
    room = max_length - Template.of(tokenizer).specials
    kept = cut_pair(np.array([30, 40, 30]), np.array([40, 30, 30]), room)
    # The odd token goes to the longer side, to the passage where they are equal.
    np.testing.assert_array_equal(kept[0], [room // 2, room - room // 2, room // 2])
    np.testing.assert_array_equal(kept[1], [room - room // 2, room // 2, room - room // 2])


def test_padding_to_a_length_adds_padding_alone() -> None:
    tokenizer = TOKENIZERS["bert"]
    tokens = PairTokens(store_of(tokenizer, ["w1"], 16), store_of(tokenizer, ["w2 w3"], 16), Template.of(tokenizer), 16)
    short, long = tokens.batch(indices(1), indices(1)), tokens.batch(indices(1), indices(1), pad_to=16)
    for name, pad in {"input_ids": 0, "attention_mask": 0, "token_type_ids": 0}.items():
        assert long[name].shape == (1, 16)
        np.testing.assert_array_equal(long[name][:, :6], short[name])
        assert (long[name][:, 6:] == pad).all()


def test_template_of_roberta_has_two_separators_between() -> None:
    template = Template.of(TOKENIZERS["roberta"])
    assert template.around == ((2,), (3, 3), (3,))
    assert template.types is None
    assert Template.of(TOKENIZERS["bert"]).types == (0, 0, 0, 1, 1)


@pytest.fixture
def table(tmp_path: Path) -> Callable[[list[str]], Texts]:
    """Return a function from texts to a table of them."""

    def make(texts: list[str]) -> Texts:
        write_texts(tmp_path / "texts.arrow", [(f"id{number}", text) for number, text in enumerate(texts)])
        return Texts.open(tmp_path / "texts.arrow")

    return make


def test_the_store_keeps_what_a_pair_can_use(tmp_path: Path, table: Callable[[list[str]], Texts]) -> None:
    tokenizer, seen = TOKENIZERS["bert"], []
    texts = ["", "w1 unknown", text_of(25), "", text_of(1), *[text_of(number % 5) for number in range(1500)]]
    write_token_store(tmp_path, table(texts), tokenizer, 10, lambda done, total: seen.append((done, total)))
    store = TokenStore.open(tmp_path)
    assert store[1].tolist() == [5, 1]
    for number, text in enumerate(texts):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert store[number].tolist() == ids[:10]
        assert store.lengths[number] == len(ids)
    assert isinstance(store.tokens.base, np.memmap)
    assert store.tokens.dtype == np.uint16
    assert seen[-1] == (len(texts), len(texts))
    assert sorted(path.name for path in tmp_path.glob("*.npy")) == ["lengths.npy", "starts.npy", "tokens.npy"]
    assert not list(tmp_path.glob("*.bin"))


def test_a_table_of_empty_texts_has_a_store(tmp_path: Path, table: Callable[[list[str]], Texts]) -> None:
    write_token_store(tmp_path, table(["", ""]), TOKENIZERS["bert"], 10, lambda done, total: None)
    store = TokenStore.open(tmp_path)
    tokens = PairTokens(store, store, Template.of(TOKENIZERS["bert"]), 10)
    assert tokens.batch(indices(2), indices(2))["input_ids"].tolist() == [[2, 3, 3], [2, 3, 3]]


def test_identity_is_of_what_the_tokenizer_does_to_a_text() -> None:
    one, other = make_tokenizer("bert"), make_tokenizer("bert")
    other("w1", "w2", truncation=True, max_length=9, padding="max_length")
    other.backend_tokenizer.enable_truncation(5)
    other.backend_tokenizer.enable_padding(length=7)
    other.model_max_length = 77
    assert tokenizer_identity(one) == tokenizer_identity(other)
    changed = {
        "vocabulary": make_tokenizer("bert", [*WORDS, "more"]),
        "order": make_tokenizer("bert", WORDS[::-1]),
        "normalisation": make_tokenizer("bert", lowercase=False),
        "template": make_tokenizer("roberta"),
        "token types": make_tokenizer("distilbert"),
    }
    identities = {name: tokenizer_identity(tokenizer) for name, tokenizer in changed.items()}
    assert len({tokenizer_identity(one), *identities.values()}) == 1 + len(changed), identities


def test_pieces_of_a_file_are_those_of_the_mapped_array(tmp_path: Path) -> None:
    np.save(tmp_path / "tokens.npy", np.arange(1000, dtype=np.uint16))
    np.save(tmp_path / "starts.npy", np.arange(101) * 10)
    np.save(tmp_path / "lengths.npy", np.full(100, 10))
    store = TokenStore.open(tmp_path)
    rows, counts = np.array([99, 0, 7, 7]), np.array([10, 3, 0, 1])
    found = store.first(rows, counts)
    expected = np.concatenate([store[row][:count] for row, count in zip(rows, counts, strict=True)])
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store)).first(rows, counts), expected)  # noqa: S301
    os.truncate(tmp_path / "tokens.npy", 1500)
    with pytest.raises(OSError, match="is incomplete"):
        store.first(rows, counts)
