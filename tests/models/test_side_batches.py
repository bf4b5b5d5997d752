"""Texts tokenised apart become the batches that rankers take."""

from typing import Any

import numpy as np

from distilkit.data.side_tokens import SideFormat, SideTokens
from distilkit.data.tokens import TokenStore
from distilkit.models.batch import GroupedSides, SideBatch, TokenBatch, batch_of
from distilkit.models.colbert import ColBertOptions
from distilkit.models.dot import DotOptions


def store_of(tokenizer: Any, texts: list[str]) -> TokenStore:
    """Return the tokens of texts, in memory."""
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    starts = np.cumsum([0, *map(len, ids)]).astype(np.int64)
    flat = np.array([token for one in ids for token in one], np.int32)
    return TokenStore(flat, starts, np.diff(starts))


def side_batch(
    tokenizer: Any, queries: list[str], documents: list[str], form: SideFormat, query_length: int, document_length: int
) -> SideBatch:
    """Return the batch of each query with the document of the same row."""
    stores = (store_of(tokenizer, queries), store_of(tokenizer, documents))
    tokens = SideTokens.of(tokenizer, *stores, form, query_length, document_length)
    rows = np.arange(len(queries), dtype=np.int64)
    batch = batch_of(tokens.batch(rows, rows))
    assert isinstance(batch, SideBatch)
    return batch


def test_columns_become_batches(tokenizer: Any) -> None:
    batch = side_batch(tokenizer, ["the cat", "my"], ["a mat", "red ball"], DotOptions().text_format, 8, 8)
    assert batch.query.input_ids.tolist() == tokenizer(["the cat", "my"], padding=True)["input_ids"]
    assert batch.query_index is None
    assert batch.query.scored is None
    stores = (store_of(tokenizer, ["the cat"]), store_of(tokenizer, ["a mat", "red ball"]))
    tokens = SideTokens.of(tokenizer, *stores, ColBertOptions("papers").text_format)
    repeated = batch_of(tokens.batch(np.array([0, 0]), np.array([0, 1])))
    assert isinstance(repeated, SideBatch)
    assert repeated.query_index is not None
    assert repeated.query_index.tolist() == [0, 0]
    assert (len(repeated), len(repeated.query)) == (2, 1)
    pair = batch_of({"input_ids": np.array([[1, 2]]), "attention_mask": np.array([[1, 1]])})
    assert isinstance(pair, TokenBatch)


def test_grouped_sides_have_every_query_once_and_their_pairs_group_by_group(tokenizer: Any) -> None:
    texts = ["the cat", "my"], ["a mat", "red", "my red ball", "the cat and the mat"]
    stores = [store_of(tokenizer, one) for one in texts]
    tokens = SideTokens.of(tokenizer, *stores, DotOptions().text_format)
    queries, documents = np.array([0, 1, 1, 0]), np.array([0, 1, 2, 3])
    groups = [np.array([3, 2]), np.array([0, 1])]
    grouped = batch_of(tokens.grouped(queries, documents, groups))
    assert isinstance(grouped, GroupedSides)
    assert (len(grouped), len(grouped.query)) == (4, 2)
    assert [index.tolist() for _, index in grouped.groups] == [[0, 1], [0, 1]]
    whole = batch_of(tokens.batch(queries, documents))
    assert isinstance(whole, SideBatch)
    found = [row[mask.bool()].tolist() for one, _ in grouped.groups
             for row, mask in zip(one.input_ids, one.attention_mask, strict=True)]  # fmt: skip
    rows = zip(whole.document.input_ids, whole.document.attention_mask, strict=True)
    expected = [row[mask.bool()].tolist() for row, mask in rows]
    assert found == [expected[pair] for pair in (3, 2, 0, 1)]
    assert [one.input_ids.shape[1] for one, _ in grouped.groups] == [max(map(len, expected)), len(expected[0])]


def test_a_text_that_spells_the_padding_is_read(tokenizer: Any) -> None:
    """Passages of MS MARCO hold "[PAD]", whose number is that of the padding: the mask tells the two apart."""
    batch = side_batch(tokenizer, ["the [PAD] cat", "my"], ["a [PAD] mat", "a mat"], DotOptions().text_format, 8, 8)
    pad = tokenizer.pad_token_id
    assert batch.query.input_ids[0].tolist().count(pad) == 1
    assert batch.query.attention_mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert batch.document.attention_mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]
