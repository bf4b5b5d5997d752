"""Requests are scored in the order in which they come, together where that helps, and none fails of another."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event

import numpy as np
import pytest

from distilkit.errors import RunFailed
from distilkit.serving.asked import Refused, Scores
from distilkit.serving.figures import ServerFigures
from distilkit.serving.line import Line, Waiting

SECONDS = 60


class Lengths:
    """Scores a pair by its letters; waits until it may go on, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.begun, self.go_on = Event(), Event()

    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        self.asked.append([text for _, text in pairs])
        self.begun.set()
        assert self.go_on.wait(SECONDS)
        if any(text == "nan" for _, text in pairs):
            raise RunFailed("1 score is not finite")
        if any(text == "odd" for _, text in pairs):
            raise KeyError("odd")
        if any(text == "huge" for _, text in pairs):
            raise MemoryError
        return np.array([float(10 * len(query) + len(text)) for query, text in pairs])

    def cut(self, pairs: Sequence[tuple[str, str]]) -> str | None:
        return "1 of 1 pairs is too long" if any(len(text) > 9 for _, text in pairs) else None


@contextmanager
def held(scorer: Lengths, joins: bool = True, most_waiting: int = 100) -> Iterator[Line]:
    """Yield a line whose thread is busy with a first request, so that those that follow wait together."""
    with Line(scorer, ServerFigures(), most_waiting=most_waiting, joins=joins, together=6) as line:
        line.add(Waiting("first", ["one"]))
        assert scorer.begun.wait(SECONDS)
        try:
            yield line
        finally:
            scorer.go_on.set()


@pytest.mark.parametrize("joins", [True, False])
def test_requests_get_their_own_scores_in_order(joins: bool) -> None:
    scorer = Lengths()
    with held(scorer, joins) as line:
        found = [line.add(Waiting("q" * n, ["t" * k for k in range(1, n + 1)])) for n in (2, 3, 4, 9)]
        assert line.waiting == (4, 18)
        scorer.go_on.set()
        for n, scores in zip((2, 3, 4, 9), found, strict=True):
            assert scores.result(SECONDS).tolist() == [10 * n + k for k in range(1, n + 1)]
        assert line.waiting == (0, 0)
        assert line.works
    assert not line.works
    # At most six texts together, and a request of more alone.
    assert [len(texts) for texts in scorer.asked] == ([1, 5, 4, 9] if joins else [1, 2, 3, 4, 9])


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("nan", 500, "1 score is not finite"),
        ("odd", 500, "KeyError"),
        ("huge", 503, "memory ran out"),
        ("longer than nine", 413, "too long, which truncate = false refuses"),
    ],
)
def test_none_fails_of_another_s_text(text: str, status: int, said: str) -> None:
    scorer = Lengths()
    with held(scorer) as line:
        good, bad, after = (line.add(Waiting("q", [one], whole=True)) for one in ("a", text, "b"))
        scorer.go_on.set()
        assert good.result(SECONDS).tolist() == after.result(SECONDS).tolist() == [11.0]
        with pytest.raises(Refused, match=said) as found:
            bad.result(SECONDS)
        assert found.value.status == status
        assert line.works


def test_a_request_that_is_given_up_is_not_scored() -> None:
    scorer = Lengths()
    with held(scorer) as line:
        left, stays = line.add(Waiting("q", ["left"])), line.add(Waiting("q", ["stays"]))
        assert left.cancel()
        scorer.go_on.set()
        assert stays.result(SECONDS).tolist() == [15.0]
    assert scorer.asked == [["one"], ["stays"]]


def test_too_many_wait() -> None:
    scorer = Lengths()
    with held(scorer, most_waiting=3) as line:
        line.add(Waiting("q", ["a"] * 5))  # nobody else waits
        with pytest.raises(Refused, match="5 texts of other requests wait already") as found:
            line.add(Waiting("q", ["b"]))
        assert found.value.status == 429


def test_what_still_waits_at_the_end_is_given_up() -> None:
    scorer = Lengths()
    with Line(scorer, ServerFigures(), most_waiting=100) as line:
        under_way = line.add(Waiting("q", ["a"]))
        assert scorer.begun.wait(SECONDS)
        waits = line.add(Waiting("q", ["b"]))
        line._closed = True
        scorer.go_on.set()
    assert under_way.result().tolist() == [11.0]
    assert waits.cancelled()
