"""What a server counts, in the text format of Prometheus."""

import time
from collections import Counter
from threading import Lock

# Upper ends in seconds, in powers of two and a half, as latencies of single queries are spread.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)


class ServerFigures:
    """Counts of one server since it started; any thread may add to them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._started = time.time()
        self._statuses: Counter[int] = Counter()
        self._buckets = [0] * len(BUCKETS)
        self._seconds = 0.0
        self._texts = 0
        self._rounds = 0

    def answered(self, status: int, seconds: float) -> None:
        """Count a request to /rerank that was answered."""
        with self._lock:
            self._statuses[status] += 1
            self._seconds += seconds
            for place, end in enumerate(BUCKETS):
                self._buckets[place] += seconds <= end

    def scored(self, texts: int) -> None:
        """Count a round of scoring, and its texts."""
        with self._lock:
            self._rounds += 1
            self._texts += texts

    @property
    def requests(self) -> int:
        """How many requests to /rerank were answered, in whatever way."""
        return self._statuses.total()

    def to_text(self, waiting_requests: int, waiting_texts: int) -> str:
        """Return all figures, with those of the queue as it is now."""
        with self._lock:
            statuses, buckets = sorted(self._statuses.items()), list(self._buckets)
            seconds, texts, rounds = self._seconds, self._texts, self._rounds
        total = sum(count for _, count in statuses)
        lines = [
            *_head("requests_total", "counter", "Requests to /rerank that were answered, by HTTP status."),
            *(f'distilkit_requests_total{{status="{status}"}} {count}' for status, count in statuses),
            *_head("request_seconds", "histogram", "Seconds from a request to its answer, waiting included."),
            *(
                f'distilkit_request_seconds_bucket{{le="{end}"}} {count}'
                for end, count in zip((*BUCKETS, "+Inf"), (*buckets, total), strict=True)
            ),
            f"distilkit_request_seconds_sum {seconds:.6f}",
            f"distilkit_request_seconds_count {total}",
            *_one("texts_total", "counter", "Texts that were scored.", texts),
            *_one("rounds_total", "counter", "Rounds of scoring; one may serve several requests.", rounds),
            *_one("waiting_requests", "gauge", "Requests that wait to be scored.", waiting_requests),
            *_one("waiting_texts", "gauge", "Texts that wait to be scored.", waiting_texts),
            *_one("start_time_seconds", "gauge", "When the server started, in seconds since 1970.", self._started),
        ]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, what: str) -> tuple[str, str]:
    return f"# HELP distilkit_{name} {what}", f"# TYPE distilkit_{name} {kind}"


def _one(name: str, kind: str, what: str, value: float) -> tuple[str, ...]:
    return *_head(name, kind, what), f"distilkit_{name} {value}"
