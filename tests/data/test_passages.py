"""Windows of documents: what they cover, how they are stored, and how their scores become a document's."""

import pickle
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from distilkit.data.passages import (
    Aggregation,
    Windows,
    aggregate,
    best_windows,
    spans,
    split_words,
    write_windows,
)
from distilkit.data.texts import Texts, write_texts
from distilkit.errors import UserError


def split_tokens(tokens: list[Any], length: int, stride: int) -> list[list[Any]]:
    return [tokens[start:end] for start, end in spans(len(tokens), length, stride)]


SIZES = st.integers(1, 12).flatmap(lambda length: st.tuples(st.just(length), st.integers(1, length)))


@settings(deadline=None)
@given(count=st.integers(0, 60), size=SIZES)
def test_windows_cover_every_token_and_overlap(count: int, size: tuple[int, int]) -> None:
    length, stride = size
    tokens = list(range(count))
    windows = split_tokens(tokens, length, stride)
    assert [window[0] for window in windows if window] == [stride * at for at in range(len(windows)) if count]
    assert sorted({token for window in windows for token in window}) == tokens
    assert all(len(window) == length for window in windows[:-1])
    assert len(windows[-1]) <= length
    for one, following in pairwise(windows):
        assert one[stride:] == following[: length - stride]
        assert following[-1] > one[-1]
    assert (len(windows) == 1) == (count <= length)


@settings(deadline=None)
@given(words=st.lists(st.text("abc#é", min_size=1, max_size=3), max_size=40), size=SIZES)
def test_windows_of_words_are_windows_of_tokens(words: list[str], size: tuple[int, int]) -> None:
    windows = split_words(" ".join(words), *size)
    assert windows == [" ".join(window) for window in split_tokens(words, *size)]


def test_150_words_every_75_by_default() -> None:
    windows = split_words(" ".join(f"w{at}" for at in range(301)))
    assert [window.split()[0] for window in windows] == ["w0", "w75", "w150", "w225"]
    assert [len(window.split()) for window in windows] == [150, 150, 150, 76]


def test_a_window_stands_as_in_the_text() -> None:
    assert split_words("  one\ttwo,\n three  four ", 3, 2) == ["one\ttwo,\n three", "three  four"]
    assert split_words("", 3, 2) == split_words(" \n", 3, 2) == [""]


@pytest.mark.parametrize(("length", "stride"), [(3, 0), (3, 4), (0, 0), (5, -1)])
def test_a_stride_that_skips_words_is_refused(length: int, stride: int) -> None:
    for text in ("", "a b c d e f"):
        with pytest.raises(UserError, match=f"length {length} every {stride}: expected a stride"):
            split_words(text, length, stride)


@pytest.fixture
def table(tmp_path: Path) -> Callable[[list[str]], Texts]:
    """Return a function from texts to a table of them."""

    def make(texts: list[str]) -> Texts:
        write_texts(tmp_path / "texts.arrow", [(f"D{number}", text) for number, text in enumerate(texts)])
        return Texts.open(tmp_path / "texts.arrow")

    return make


def test_windows_on_disk_are_those_of_each_document(tmp_path: Path, table: Callable[[list[str]], Texts]) -> None:
    texts = [" ".join(f"w{number}.{at}" for at in range(number % 9)) for number in range(250)]
    seen: list[tuple[int, int]] = []
    write_windows(tmp_path, table(texts), length=3, stride=2, progress=lambda *done: seen.append(done))
    windows = pickle.loads(pickle.dumps(Windows.open(tmp_path)))  # noqa: S301 (our own)
    for number, text in enumerate(texts):
        rows = range(windows.starts[number], windows.starts[number + 1])
        expected = split_words(text, 3, 2)
        assert windows.texts.texts(rows) == expected
        assert windows.texts.ids(rows) == [f"D{number}#{place}" for place in range(len(expected))]
    assert windows.starts[-1] == len(windows.texts)
    assert seen == [(100, 250), (200, 250), (250, 250)]
    assert isinstance(Windows.open(tmp_path).starts, np.memmap)


def test_the_windows_of_some_documents(tmp_path: Path, table: Callable[[list[str]], Texts]) -> None:
    write_windows(tmp_path, table(["a b c d", "", "a b", "a b c"]), length=2, stride=1, progress=lambda *_: None)
    windows = Windows.open(tmp_path)
    assert windows.starts.tolist() == [0, 3, 4, 5, 7]
    rows, owners = windows.of(np.array([3, 0, 0, 1]))
    assert rows.tolist() == [5, 6, 0, 1, 2, 0, 1, 2, 3]
    assert owners.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 3]
    none = windows.of(np.zeros(0, np.int64))
    assert [len(part) for part in none] == [0, 0]


def test_windows_of_tokens_are_cut_where_the_tokens_stand(tmp_path: Path, table: Callable[[list[str]], Texts]) -> None:
    vocabulary = {"[UNK]": 0, "play": 1, "##ing": 2, "the": 3, "ball": 4, "[PAD]": 5}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]")
    texts = table(["playing,  the ball", "ball", ""])
    # play ##ing , the ball
    write_windows(tmp_path, texts, unit="tokens", length=3, stride=2, tokenizer=tokenizer, progress=lambda *_: None)
    windows = Windows.open(tmp_path)
    assert windows.texts.texts(range(len(windows.texts))) == ["playing,", ",  the ball", "ball", ""]
    with pytest.raises(ValueError, match="need a tokenizer"):
        write_windows(tmp_path, texts, unit="tokens", progress=lambda *_: None)


SCORES = np.array([1.0, 3.0, -2.0, 0.5, -1.0, 3.0], np.float32)
OWNERS = np.array([0, 0, 1, 2, 2, 0])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("max", [3.0, -2.0, 0.5]),
        ("first", [1.0, -2.0, 0.5]),
        ("sum", [7.0, -2.0, -0.5]),
        ("avg", [7 / 3, -2.0, -0.25]),
    ],
)
def test_aggregations(how: Aggregation, expected: list[float]) -> None:
    result = aggregate(SCORES, OWNERS, 3, how)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, expected)


def test_sums_are_in_double_precision() -> None:
    scores = np.array([1e8, 1.0, -1e8], np.float32)
    assert aggregate(scores, np.zeros(3, np.int64), 1, "sum")[0] == 1.0


def test_a_document_without_a_window_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="document 1 of 2 has no window"):
        aggregate([1.0], np.array([0]), 2)


def test_the_best_windows_of_each_document() -> None:
    # Windows 1 and 5 of document 0 are equal: the earlier comes first.
    assert best_windows(SCORES, OWNERS, 1).tolist() == [1, 2, 3]
    assert best_windows(SCORES, OWNERS, 2).tolist() == [1, 5, 2, 3, 4]
    assert best_windows(SCORES, OWNERS, 9).tolist() == [1, 5, 0, 2, 3, 4]


@settings(deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 3)), max_size=30), keep=st.integers(1, 6))
def test_the_best_windows_are_those_of_a_plain_sort(rows: list[tuple[int, int]], keep: int) -> None:
    expected = [
        window
        for owner in range(4)
        for window in sorted((at for at, row in enumerate(rows) if row[0] == owner), key=lambda at: (-rows[at][1], at))[
            :keep
        ]
    ]
    owners, scores = (np.array([row[part] for row in rows], np.int64) for part in (0, 1))
    assert best_windows(scores, owners, keep).tolist() == expected
