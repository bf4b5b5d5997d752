import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilkit.data.texts import ROWS, Texts, write_texts

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
tables = st.dictionaries(ids, st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=40)


def table(folder, rows):
    path = folder / "texts.arrow"
    write_texts(path, rows)
    return Texts.open(path)


@settings(deadline=None)
@given(rows=tables, unknown=ids, size=st.integers(1, 50))
def test_a_table_answers_like_a_dict(tmp_path_factory, rows, unknown, size):
    texts = table(tmp_path_factory.mktemp("texts"), rows.items())
    names = list(rows)
    assert len(texts) == len(rows)
    assert texts.ids(range(len(texts))) == names
    assert texts.texts(range(len(texts))) == list(rows.values())
    assert [texts.index(name) for name in names] == list(range(len(names)))
    assert texts.find([*names, unknown]).tolist() == [
        *range(len(names)),
        names.index(unknown) if unknown in rows else -1,
    ]
    assert [names[i] for i in texts.order] == sorted(names)
    assert [row for batch in texts.batches(size) for row in zip(*batch, strict=True)] == list(rows.items())
    assert all(len(batch[0]) <= size for batch in texts.batches(size))
    if unknown not in rows:
        with pytest.raises(KeyError):
            texts.index(unknown)


def test_rows_are_found_across_the_batches_of_a_file(tmp_path):
    count = 2 * ROWS + 7
    texts = table(tmp_path, ((f"p{i}", f"text {i}") for i in range(count)))
    some = [0, ROWS - 1, ROWS, 2 * ROWS - 1, 2 * ROWS, count - 1]
    assert texts.texts(np.array(some)) == [f"text {i}" for i in some]
    assert [texts.index(f"p{i}") for i in some] == some
    assert texts.find([f"p{i}" for i in some]).tolist() == some


@pytest.mark.parametrize("row", [-1, 2])
def test_a_row_out_of_range_is_an_error_and_never_wraps_around(tmp_path, row):
    texts = table(tmp_path, [("a", "A"), ("b", "B")])
    with pytest.raises(IndexError, match=f"row {row} of 2"):
        texts.text(row)


def test_repeated_ids_are_found_with_their_first_rows(tmp_path):
    def repeats(*ids):
        return [rows.tolist() for rows in table(tmp_path, [(id, "") for id in ids]).repeats()]

    assert repeats("b", "a", "b", "c", "a", "b") == [[2, 4, 5], [0, 1, 0]]
    assert repeats("b", "a") == repeats() == [[], []]


def test_a_pickled_table_is_opened_again_and_not_copied(tmp_path):
    texts = table(tmp_path, [("a", "A" * 100_000)])
    pickled = pickle.dumps(texts)
    assert len(pickled) < 1000
    assert pickle.loads(pickled).text(0) == "A" * 100_000  # noqa: S301
