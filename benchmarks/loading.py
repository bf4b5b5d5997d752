"""What data costs while training: its share of a step, and tokenising when a collection is used again."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from benchmarks.harness import Goal, Options, Row, Spread, now
from benchmarks.texts import MINILM, Integers, Pairs, make_pairs
from benchmarks.workload import ONE_STEP, SCORES, Session, last_stage, session
from distilkit.data import tokens as token_stores
from distilkit.models.references import local_folder
from distilkit.pipeline.data import Data
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess
from distilkit.settings import DataSettings

BATCH, EXAMPLES, STEPS = 32, 1600, 3


def run(options: Options) -> Iterator[Row]:
    """The share of the dearest step and of the cheapest one; texts tokenised at the first use and at the second."""
    size, count = (8, 80) if options.quick else (BATCH, EXAMPLES)
    with TemporaryDirectory() as folder:
        pairs = make_pairs(Path(folder) / "pairs", count)
        for strategy, cached in ((ONE_STEP, False), (SCORES, True)):
            timed, teacher = Timed(pairs.tokens), None if cached else "minilm"
            stage = last_stage(strategy, size)
            one = session(options, stage, pairs, teacher, cached=cached, tokens=timed)  # type: ignore[arg-type]
            shares = [100 * share(one, timed, turn) for turn in range(-1, options.rounds)][1:]
            what = "cached scores" if cached else "one step, MiniLM teacher"
            yield Row(f"data loading's share of a step: {what}", Spread.of(shares), "%", Goal(at_most=2.0), "fp32")
        for turn, texts in enumerate(tokenised(Path(folder), pairs), 1):
            goal = Goal(at_most=0) if turn == 2 else None
            yield Row(f"texts tokenised at use {turn} of a collection", Spread.of([texts]), "", goal)


def share(session: Session, timed: "Timed", turn: int) -> float:
    """Return the part of some steps' time that putting batches together takes."""
    take_step, steps, started = session.take_step, session.spread(STEPS, turn), now()
    timed.seconds = 0.0
    for step in steps:
        session.trainer.state.step = step
        take_step()
    return timed.seconds / (now() - started)


@dataclass
class Timed:
    """Tokens that count the time in which they are read."""

    tokens: Any
    seconds: float = 0.0

    @property
    def max_length(self) -> int:
        """The most tokens of a pair."""
        return int(self.tokens.max_length)

    def lengths(self, queries: Integers, passages: Integers) -> Integers:
        """Return the lengths of pairs."""
        return self._timed(self.tokens.lengths, queries, passages)  # type: ignore[no-any-return]

    def batch(self, queries: Integers, passages: Integers, **options: Any) -> dict[str, Any]:
        """Return a padded batch."""
        return self._timed(self.tokens.batch, queries, passages, **options)  # type: ignore[no-any-return]

    def _timed(self, read: Any, *given: Any, **options: Any) -> Any:
        start = now()
        result = read(*given, **options)
        self.seconds += now() - start
        return result


def tokenised(folder: Path, pairs: Pairs) -> Iterator[int]:
    """Open a collection's tokens twice, as two runs do, and yield how many texts each tokenises."""
    beir = folder / "beir"
    (beir / "qrels").mkdir(parents=True)
    for name, texts in {"corpus": pairs.passages, "queries": pairs.queries}.items():
        rows = (json.dumps({"_id": f"{name}{row}", "title": "", "text": text}) for row, text in enumerate(texts))
        (beir / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nqueries0\tcorpus0\t1\n")
    settings = DataSettings(source="beir", path=str(beir))
    write = token_stores.write_token_store
    for _ in range(2):
        seen = [0]

        def counting(place: Any, texts: Any, *rest: Any, seen: list[int] = seen) -> None:
            seen[0] += len(texts)
            write(place, texts, *rest)

        with patch.object(token_stores, "write_token_store", counting):
            workspace = Workspace(folder / "artifacts", OneProcess(), Reporter(quiet=True))
            data = Data.of(settings, workspace)
            workspace.prepare(data.reader(data.tokenizer(local_folder(MINILM))))
        yield seen[0]
