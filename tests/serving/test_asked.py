"""What requests to /rerank may be, and how they are answered."""

import json
from typing import Any

import numpy as np
import pytest

from distilkit.serving.asked import Asked, Limits, Refused, asked_in

LIMITS = Limits(body=1000, texts=3, characters=20)
SCORES = np.array([0.5, 2.0, -1.0, 2.0])


def asked(**fields: Any) -> Asked:
    return asked_in(json.dumps(fields).encode(), Limits(1000, 4, 20))


def test_text_embeddings_inference() -> None:
    found = asked(query="q", texts=["a", "b", "c", "d"]).answer(SCORES)
    assert [one["index"] for one in found] == [1, 3, 0, 2]  # of equal scores the one given first
    assert [one.keys() for one in found] == [{"index", "score"}] * 4
    np.testing.assert_allclose([one["score"] for one in found], 1 / (1 + np.exp([-2.0, -2.0, -0.5, 1.0])), rtol=1e-12)
    found = asked(query="q", texts=["a", "b", "c", "d"], raw_scores=True, return_text=True, top_n=2).answer(SCORES)
    assert found == [{"index": 1, "score": 2.0, "text": "b"}, {"index": 3, "score": 2.0, "text": "d"}]


def test_cohere() -> None:
    given = {"query": "q", "documents": ["a", {"text": "b"}, "c", {"text": "d", "id": 4}], "model": "rerank-v3.5"}
    found = asked(**given, top_n=1).answer(SCORES)
    assert found == {"results": [{"index": 1, "relevance_score": pytest.approx(1 / (1 + np.exp(-2.0)))}]}
    found = asked(**given, return_documents=True, raw_scores=True, top_n=9).answer(SCORES)
    assert [one["document"] for one in found["results"]] == [{"text": text} for text in "bdac"]
    assert [one["relevance_score"] for one in found["results"]] == [2.0, 2.0, 0.5, -1.0]


def test_null_is_absent_and_what_is_not_known_is_ignored() -> None:
    found = asked(query="q", texts=["a"], documents=None, top_n=None, truncate=None, user="me")
    assert found == Asked("q", ["a"], cohere=False, top=None, with_text=False, raw=False, whole=False)
    assert asked(query="q", texts=["a"], truncate=False, truncation_direction="Right").whole


def test_scores_of_any_size_are_numbers() -> None:
    found = asked(query="q", texts=["a", "b"]).answer(np.array([-1e4, 1e4]))
    assert [one["score"] for one in found] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "not JSON"),
        (b'{"query": "q", "texts": ["a"', 400, "not JSON"),
        (b'{"query": "\xff"}', 400, "not JSON in UTF-8"),
        (b'{"query": "\\ud800", "texts": ["a"]}', 400, "half of a surrogate pair"),
        (b"[" * 900 + b"]" * 900, 400, "nested more than"),
        (b'{"query": "q", "texts": ["a"], "top_n": 1' + b"0" * 200 + b"}", 400, "a whole number of 201 digits"),
        (b'["q", "a"]', 422, "not a JSON object"),
        (b'{"texts": ["a"]}', 422, "query: expected a text"),
        (b'{"query": " ", "texts": ["a"]}', 422, "query: expected a text"),
        (b'{"query": ["q"], "texts": ["a"]}', 422, "query: expected a text"),
        (b'{"query": "q"}', 422, "neither is there"),
        (b'{"query": "q", "texts": ["a"], "documents": ["a"]}', 422, "both are there"),
        (b'{"query": "q", "texts": "a"}', 422, "texts: expected a list of texts"),
        (b'{"query": "q", "texts": []}', 422, "texts: expected a list of texts that is not empty"),
        (b'{"query": "q", "texts": ["a", 1]}', 422, "texts[1]: expected a text"),
        (b'{"query": "q", "texts": [{"text": "a"}]}', 422, "texts[0]: expected a text"),
        (b'{"query": "q", "documents": ["a", {"txt": "b"}]}', 422, "documents[1]: expected a text or an object"),
        (b'{"query": "q", "texts": ["a", "b", "c", "d"]}', 413, "texts: 4 texts, where a request may have 3"),
        (b'{"query": "q", "texts": ["a", "' + b"b" * 21 + b'"]}', 413, "texts[1]: a text of 21 characters, where 20"),
        (b'{"query": "' + b"q" * 21 + b'", "texts": ["a"]}', 413, "query: a text of 21 characters"),
        (b'{"query": "q", "texts": ["a"], "top_n": 0}', 422, "top_n: expected a whole number from 1"),
        (b'{"query": "q", "texts": ["a"], "top_n": true}', 422, "top_n: expected a whole number from 1"),
        (b'{"query": "q", "texts": ["a"], "raw_scores": 1}', 422, "raw_scores: expected true or false"),
        (b'{"query": "q", "texts": ["a"], "truncation_direction": "Left"}', 422, "truncation_direction: expected"),
    ],
)
def test_what_is_refused(body: bytes, status: int, said: str) -> None:
    with pytest.raises(Refused) as found:
        asked_in(body, LIMITS)
    assert (found.value.status, said in str(found.value)) == (status, True), str(found.value)
    assert "\n" not in str(found.value)
