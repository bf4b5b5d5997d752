"""The line of waiting requests, and the one thread that scores them."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Protocol, Self

from distilkit.errors import RunFailed, is_out_of_memory, said_of_memory
from distilkit.serving.asked import Refused, Scores
from distilkit.serving.figures import ServerFigures

# Texts that are scored together, of one request or of several: more would make those that come next wait.
TOGETHER = 256


class PairScorer(Protocol):
    """What scores pairs: a ranker that is loaded."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        """Return the score of every pair."""
        ...

    def cut(self, pairs: Sequence[tuple[str, str]]) -> str | None:
        """Return a sentence on texts that are longer than they are read, None where none is."""
        ...


@dataclass(eq=False)
class Waiting:
    """A query and its texts, and where their scores will be; with `whole` no text may be longer than it is read."""

    query: str
    texts: Sequence[str]
    whole: bool = False
    scores: "Future[Scores]" = field(default_factory=Future)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The query with each of its texts."""
        return [(self.query, text) for text in self.texts]


class Line:
    """Requests in the order in which they came, scored by one thread while the block of this context runs.

    Those that wait are scored together, sorted by length whichever request they are of, with `together` texts at most
    or of one request. A ranker whose scores depend on what is beside a text scores each request alone.
    """

    def __init__(
        self,
        scorer: PairScorer,
        figures: ServerFigures,
        *,
        most_waiting: int,
        joins: bool = True,
        together: int = TOGETHER,
    ) -> None:
        self._scorer, self._figures = scorer, figures
        self._most_waiting, self._together = most_waiting, together if joins else 0
        self._line: deque[Waiting] = deque()
        self._texts = 0
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._work, name="scoring", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Score what is under way, drop what still waits, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        for one in self._line:
            one.scores.cancel()

    @property
    def waiting(self) -> tuple[int, int]:
        """How many requests wait, and how many texts they have."""
        with self._changed:
            return len(self._line), self._texts

    @property
    def works(self) -> bool:
        """Whether requests are scored."""
        return self._thread.is_alive() and not self._closed

    def add(self, one: Waiting) -> "Future[Scores]":
        """Let a request wait for its scores; raises Refused where too many texts wait already."""
        with self._changed:
            if self._line and self._texts + len(one.texts) > self._most_waiting:
                raise Refused(429, f"{self._texts:,} texts of other requests wait already; try again later")
            self._line.append(one)
            self._texts += len(one.texts)
            self._changed.notify()
        return one.scores

    def _work(self) -> None:
        while chosen := self._next():
            if there := [one for one in chosen if one.scores.set_running_or_notify_cancel()]:
                self._serve(there)

    def _next(self) -> list[Waiting]:
        """Return the requests that are scored next, as soon as there is one; none where the line is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._line or self._closed)
            chosen: list[Waiting] = []
            while self._line and not self._closed and (not chosen or self._fits(chosen, self._line[0])):
                chosen.append(self._line.popleft())
            self._texts -= sum(len(one.texts) for one in chosen)
            return chosen

    def _fits(self, chosen: Sequence[Waiting], one: Waiting) -> bool:
        return sum(len(other.texts) for other in (*chosen, one)) <= self._together

    def _serve(self, chosen: list[Waiting]) -> None:
        """Score requests together; where that fails each alone, so that none fails of another's text."""
        try:
            for one in chosen:
                if one.whole and (said := self._scorer.cut(one.pairs)):
                    raise Refused(413, f"{said}, which truncate = false refuses")
            scores = self._scorer.score([pair for one in chosen for pair in one.pairs])
            self._figures.scored(len(scores))
        except BaseException as error:  # the thread goes on, whatever a text does to the ranker
            if len(chosen) == 1:
                chosen[0].scores.set_exception(_refused(error))
            for one in chosen if len(chosen) > 1 else ():
                self._serve([one])
            return
        at = 0
        for one in chosen:
            one.scores.set_result(scores[at : at + len(one.texts)])
            at += len(one.texts)


def _refused(error: BaseException) -> Refused:
    """Return what a failure is answered with: one sentence."""
    if isinstance(error, Refused):
        return error
    if is_out_of_memory(error):
        return Refused(503, f"{said_of_memory(error)} over this request: send fewer or shorter texts")
    words = str(error) if isinstance(error, RunFailed) else type(error).__name__
    return Refused(500, f"the ranker failed over this request: {words}")
