import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilkit.data.analysis import Analyser
from distilkit.data.bm25 import VERSION, Bm25
from distilkit.data.texts import Texts, write_texts
from distilkit.errors import UserError

PASSAGES = {
    "a": "The cats chase the mice of the house",
    "b": "A mouse is no cat, a cat is no mouse",
    "c": "Houses and gardens",
    "d": "",
    "e": "the of and",
}


def texts_of(folder, rows):
    write_texts(folder / "texts.arrow", rows.items())
    return Texts.open(folder / "texts.arrow")


def index(folder, rows=PASSAGES, k1=0.9, b=0.4, stemmer=None):
    return Bm25(texts_of(folder, rows), k1=k1, b=b, analyser=Analyser(stemmer=stemmer))


def brute_force(rows, query, k1, b, stop=("the", "of", "and", "is", "no")):
    def words(text):
        return [word for word in re.findall(r"\w\w+", text.lower()) if word not in stop]

    documents = {name: Counter(words(text)) for name, text in rows.items()}
    mean = sum(document.total() for document in documents.values()) / len(documents)
    scores = {}
    for name, document in documents.items():
        scores[name] = 0.0
        for word in words(query):
            df = sum(word in other for other in documents.values())
            if document[word]:
                idf = math.log(1 + (len(rows) - df + 0.5) / (df + 0.5))
                norm = k1 * (1 - b + b * document.total() / mean)
                scores[name] += idf * document[word] / (document[word] + norm)
    return scores


words = st.lists(st.sampled_from(["red", "green", "blue", "dog", "the"]), max_size=6).map(" ".join)


@settings(deadline=None)
@given(
    rows=st.lists(words, min_size=1, max_size=8).map(lambda texts: {f"p{i}": text for i, text in enumerate(texts)}),
    query=words,
    k1=st.floats(0.1, 3),
    b=st.floats(0, 1),
    depth=st.integers(1, 10),
)
def test_scores_and_order_are_those_of_the_formula(tmp_path_factory, rows, query, k1, b, depth):
    expected = {id: score for id, score in brute_force(rows, query, k1, b).items() if score > 0}
    indices, scores = index(tmp_path_factory.mktemp("bm25"), rows, k1, b).retrieve([query], depth)
    found = [f"p{i}" for i in indices[0] if i >= 0]
    assert len(found) == min(depth, len(expected))
    assert scores[0, : len(found)] == pytest.approx([expected[id] for id in found], rel=1e-5)
    own = list(zip(scores[0, : len(found)].tolist(), found, strict=True))
    assert own == sorted(own, reverse=True)
    worst = min((expected[id] for id in found), default=0.0)
    assert all(score <= worst * (1 + 1e-5) for id, score in expected.items() if id not in found)


def test_ties_are_ordered_by_id_descending_as_a_string_also_where_they_are_cut(tmp_path):
    rows = {"9": "same text", "10": "same text", "11": "same text", "8": "same text and more", "a": "other"}
    bm25 = index(tmp_path, rows)
    ids = list(rows)
    assert [ids[i] for i in bm25.retrieve(["same"], 4)[0][0]] == ["9", "11", "10", "8"]
    assert [ids[i] for i in bm25.retrieve(["same"], 2)[0][0]] == ["9", "11"]


def test_shapes_types_and_padding(tmp_path):
    indices, scores = index(tmp_path).retrieve(["mouse", "the", "", "unknown"], 3)
    assert indices.dtype == np.int64
    assert scores.dtype == np.float32
    assert indices.tolist() == [[1, -1, -1]] + [[-1, -1, -1]] * 3
    assert (scores[1:] == 0).all()
    assert scores[0, 0] > 0
    assert (scores[0, 1:] == 0).all()
    assert index(tmp_path).retrieve([], 3)[0].shape == (0, 3)


def test_a_stemmer_joins_the_forms_of_a_word_also_ones_the_corpus_has_not(tmp_path):
    assert index(tmp_path).retrieve(["gardening"], 1)[0].tolist() == [[-1]]
    bm25 = index(tmp_path, stemmer="english")
    assert bm25.retrieve(["gardening"], 1)[0].tolist() == [[2]]
    assert sorted(bm25.retrieve(["houses"], 5)[0][0].tolist()) == [-1, -1, -1, 0, 2]


def test_a_corpus_without_a_word_has_no_candidates(tmp_path):
    assert index(tmp_path, {"a": "", "b": "the"}).retrieve(["the", "x"], 2)[0].tolist() == [[-1, -1]] * 2


def test_asking_twice_changes_nothing(tmp_path):
    bm25 = index(tmp_path, stemmer="english")
    queries = ["gardening cats", "mice", "gardening cats"]
    first, second = bm25.retrieve(queries, 5), bm25.retrieve(queries, 5)
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()
    assert (first[0][0] == first[0][2]).all()


def test_progress_is_reported_and_nothing_is_printed(tmp_path, capfd):
    reports = []
    index(tmp_path, stemmer="english").retrieve(["cat"] * 250, 2, lambda done, total: reports.append((done, total)))
    assert reports == [(100, 250), (200, 250), (250, 250)]
    assert capfd.readouterr() == ("", "")


def test_an_unknown_stemmer_is_refused(tmp_path):
    with pytest.raises(UserError, match="no stemmer is called 'englich'; did you mean 'english'"):
        index(tmp_path, stemmer="englich")


def test_the_version_names_the_libraries():
    assert re.fullmatch(r"\d+ bm25s-[\d.]+ PyStemmer-[\d.]+", VERSION)
