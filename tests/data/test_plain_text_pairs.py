"""Pairs of plain text: laid out as the tokenizer would, half of them consecutive, and nothing but words tells which."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_plain_text_tokens import SPECIALS, TOKENIZER, make_tokenizer, text_of

from distilkit.data.plain_text import TextTokens, write_sequences
from distilkit.data.plain_text.pairs import TextPairs
from distilkit.errors import UserError

ROOM, LENGTH = 29, 32
# Whole sequences and the ends of documents, so that lengths differ.
TEXTS = [text_of(6 + (37 * number) % 80, number) for number in range(400)]


def expected_sequences(room: int = ROOM) -> tuple[list[list[str]], list[int]]:
    """Return the words of every sequence and the number of its document, cut by hand."""
    found: list[list[str]] = []
    documents: list[int] = []
    for number, text in enumerate(TEXTS):
        words = text.split()
        pieces = [words[at : at + room] for at in range(0, len(words), room)]
        found += [piece for piece in pieces if len(piece) >= 5]
        documents += [number for piece in pieces if len(piece) >= 5]
    return found, documents


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    write_sequences(folder, TEXTS, TOKENIZER, LENGTH, lambda *_: None, pairs=True)
    return folder


def opened(folder: Path, **options: Any) -> TextTokens:
    return TextTokens.open(folder, options.pop("tokenizer", TOKENIZER), LENGTH, **{"pairs": True, **options})


def parts(row: np.ndarray) -> tuple[list[str], list[str]]:
    """Return the words of both texts of a laid out pair."""
    words = TOKENIZER.convert_ids_to_tokens(row.tolist())
    first = words.index("[SEP]")
    second = words.index("[SEP]", first + 1)
    assert words[0] == "[CLS]"
    assert set(words[second + 1 :]) <= {"[PAD]"}
    return words[1:first], words[first + 1 : second]


@pytest.mark.parametrize("types", [True, False])
def test_pairs_are_laid_out_as_the_tokenizer_does(folder: Path, types: bool) -> None:
    tokenizer, (sequences, documents) = make_tokenizer(types), expected_sequences()
    ours = opened(folder, tokenizer=tokenizer)
    assert len(ours) == len(sequences)
    rows = np.arange(len(ours))
    batch, continues = ours.batch(rows, rows), ours.continues
    pairs = [parts(row) for row in batch["input_ids"]]
    again = [[" ".join(side) for side in sides] for sides in zip(*pairs, strict=True)]
    theirs = tokenizer(*again, padding=True, return_tensors="np")
    assert set(batch) == set(tokenizer.model_input_names)
    for name, column in batch.items():
        assert column.dtype == np.int64
        np.testing.assert_array_equal(column, theirs[name], err_msg=name)
    np.testing.assert_array_equal(ours.lengths(rows, rows), batch["attention_mask"].sum(axis=1))
    ends: dict[str, set[int]] = {}
    for sequence, document in zip(sequences, documents, strict=True):
        for at in range(len(sequence)):
            ends.setdefault(" ".join(sequence[at:]), set()).add(document)
    for sequence, document, (first, second), label in zip(sequences, documents, pairs, continues, strict=True):
        assert first
        assert second
        assert first == sequence[: len(first)]
        if label:
            assert second == sequence[len(first) : len(first) + len(second)]
        else:  # the end of a sequence of another document
            assert ends[" ".join(second)] - {document}
    # Both lengths are what the sequence has room for, but where no other document's is as long.
    whole = [len(first) + len(second) == len(one) for one, (first, second) in zip(sequences, pairs, strict=True)]
    assert np.mean(whole) > 0.99
    assert batch["input_ids"].shape[1] == LENGTH


def test_a_shorter_length_than_they_were_written_for_cuts(folder: Path) -> None:
    rows = np.arange(100)
    short = TextTokens.open(folder, TOKENIZER, 20, pairs=True)
    batch, (sequences, _) = short.batch(rows, rows), expected_sequences()
    assert batch["input_ids"].shape[1] == 20
    np.testing.assert_array_equal(short.lengths(rows, rows), batch["attention_mask"].sum(axis=1))
    for row, sequence, label in zip(batch["input_ids"], sequences, short.continues, strict=False):
        first, second = parts(row)
        assert not label or first + second == sequence[: len(first) + len(second)]


def test_half_continue_and_lengths_do_not_tell_which() -> None:
    rng = np.random.default_rng(1)
    documents = np.repeat(np.arange(6000), rng.integers(1, 9, 6000))
    lengths = np.where(rng.random(len(documents)) < 0.7, 45, rng.integers(5, 46, len(documents)))
    pairs = TextPairs.draw(lengths, documents, 7)
    count, continues = len(lengths), pairs.continues.astype(bool)
    error = 0.5 / np.sqrt(count)
    assert abs(continues.mean() - 0.5) < 4 * error
    np.testing.assert_array_equal(pairs.owners[continues], np.flatnonzero(continues))
    others = ~continues
    assert (documents[pairs.owners[others]] != documents[others]).all()
    assert (pairs.starts[others] + pairs.second[others] == lengths[pairs.owners[others]]).all()
    assert (pairs.starts >= 0).all()
    assert ((pairs.first >= 1) & (pairs.second >= 1) & (pairs.first + pairs.second <= lengths)).all()
    # Whatever a pair's lengths are, half of such pairs continue: the lengths of A, of B and of both, and of B's source.
    for one in (pairs.first, pairs.second, pairs.first + pairs.second, lengths[pairs.owners]):
        for bound in (6, 12, 22, 33, 44):
            short = one <= bound
            assert abs(continues[short].mean() - 0.5) < 4 * 0.5 / np.sqrt(short.sum())
    # The place where A ends is anywhere.
    share = (pairs.first - 1) / (lengths - 1)
    assert abs(share.mean() - 0.5) < 0.02
    assert np.unique(pairs.first[lengths == 45]).tolist() == list(range(1, 45))
    # The second texts of the others are of all sequences rather than of a few.
    assert np.bincount(pairs.owners[others]).max() <= 40
    assert len(np.unique(pairs.owners[others])) > 0.8 * others.sum()


def test_pairs_follow_the_seed_alone(folder: Path) -> None:
    rows = np.arange(len(opened(folder)))
    one, same, other = (opened(folder, seed=seed).batch(rows, rows) for seed in (3, 3, 4))
    for name, column in one.items():
        np.testing.assert_array_equal(column, same[name])
    assert one["input_ids"].shape != other["input_ids"].shape or (one["input_ids"] != other["input_ids"]).any()
    some = opened(folder, seed=3).batch(rows[[17, 5]], rows[[17, 5]], pad_to=LENGTH)
    for name, column in some.items():
        np.testing.assert_array_equal(column, one[name][[17, 5]])


@pytest.mark.parametrize(("kind", "share"), [("one", None), ("bert", 0.15)])
def test_masking_works_over_both_texts(folder: Path, kind: Any, share: float | None) -> None:
    plain, ours = opened(folder, seed=3), opened(folder, seed=3, masking=kind)
    rows = np.arange(len(ours))
    before, batch = plain.batch(rows, rows), ours.batch(rows, rows)
    chosen, words = batch["chosen"], before["attention_mask"].sum(axis=1) - 3
    expected = np.ones(len(rows)) if share is None else np.maximum(1, [round(share * int(one)) for one in words])
    np.testing.assert_array_equal(chosen.sum(axis=1), expected)
    np.testing.assert_array_equal(chosen.sum(axis=1), ours.chosen_counts(rows))
    assert not (chosen * (before["input_ids"] < len(SPECIALS))).any()
    assert (batch["input_ids"] != before["input_ids"])[chosen == 1].mean() > 0.8
    np.testing.assert_array_equal(batch["input_ids"][chosen == 0], before["input_ids"][chosen == 0])
    for name in ("attention_mask", "token_type_ids"):
        np.testing.assert_array_equal(batch[name], before[name])
    # As often in the second texts as these are long.
    second = before["token_type_ids"] * (before["input_ids"] >= len(SPECIALS))
    assert (chosen * second).sum() / chosen.sum() == pytest.approx(second.sum() / words.sum(), abs=0.06)
    np.testing.assert_array_equal(ours.continues, plain.continues)


def test_single_texts_continue_nothing(folder: Path) -> None:
    assert not TextTokens.open(folder, TOKENIZER, LENGTH).continues.any()


def test_one_document_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sequences of the plain text \(7\) are all of one document, and half"):
        write_sequences(tmp_path, [text_of(200), text_of(4)], TOKENIZER, LENGTH, lambda *_: None, pairs=True)
    with pytest.raises(UserError, match="max_length = 7: expected at least 8"):
        write_sequences(tmp_path, TEXTS, TOKENIZER, 7, lambda *_: None, pairs=True)


def test_where_no_other_document_is_as_long_all_second_texts_are_shorter(tmp_path: Path) -> None:
    assert write_sequences(tmp_path, [text_of(9), text_of(200)], TOKENIZER, LENGTH, lambda *_: None, pairs=True) == 8
    ours, rows = opened(tmp_path), np.arange(8)
    assert ours.pairs is not None
    assert 0 < ours.continues[1:].sum() < 7
    assert (ours.pairs.second[1:] <= 9).all()
    np.testing.assert_array_equal(ours.lengths(rows, rows), ours.batch(rows, rows)["attention_mask"].sum(axis=1))
