"""One teacher's scores of all pairs, shard by shard."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from distilkit.data.tokens import TokenStore, write_token_store
from distilkit.evaluation.macs import pair_macs
from distilkit.evaluation.rerank import score_pairs
from distilkit.files import atomic_folder
from distilkit.runs.reporter import Phase, Reporter
from distilkit.scoring.material import TABLES, Material
from distilkit.scoring.parts import Floats, Parts
from distilkit.scoring.rankers import OpenRanker
from distilkit.training.precision import Precision
from distilkit.training.processes import Processes

SHARD = 65_536
"""Pairs whose scores are written at once: what a kill may cost."""


@dataclass(frozen=True)
class Scoring:
    """What is scored, and how: shared by the teachers of one request."""

    material: Material
    parts: Parts
    batch_size: int
    precision: Precision
    processes: Processes
    reporter: Reporter

    def scores(self, name: str, opened: OpenRanker) -> Floats:
        """Return a teacher's raw score of every pair; shards that are there are not computed again."""
        pairs = self.material.pairs.shape[1]
        shards = [slice(at, min(at + SHARD, pairs)) for at in range(0, pairs, SHARD)]
        missing = self.processes.broadcast(self.parts.missing(name, len(shards)))
        if missing:
            done = pairs - sum(shards[number].stop - shards[number].start for number in missing)
            tokens = self._tokens(name, opened)
            work = pair_macs(opened.ranker, tokens)
            label = f"score with {name}"
            with (
                opened.on(self.processes.device),
                self.reporter.phase(label, pairs, done=done, work=work) as phase,
            ):
                for number in missing:
                    scores = self._shard(opened, tokens, shards[number], _from(phase, phase.done))
                    self.processes.on_main(partial(self.parts.write, name, number, scores))
        return self.parts.read(name, len(shards))

    def _shard(self, opened: OpenRanker, tokens: Any, rows: slice, progress: Callable[[int, int], None]) -> Floats:
        queries, passages = (np.asarray(column[rows]) for column in self.material.pairs)
        scores = score_pairs(
            opened.ranker,
            tokens,
            queries,
            passages,
            batch_size=self.batch_size,
            precision=self.precision,
            processes=self.processes,
            progress=progress,
        )
        return scores.astype(np.float32)

    def _tokens(self, name: str, opened: OpenRanker) -> Any:
        """Return the tokens of all texts, kept for the process that resumes."""
        folder = self.parts.folder / "tokens" / name
        self.processes.on_main(lambda: None if folder.exists() else self._tokenise(folder, name, opened))
        queries, passages = (TokenStore.open(folder / table) for table in TABLES)
        return opened.tokens(queries, passages)

    def _tokenise(self, folder: Any, name: str, opened: OpenRanker) -> None:
        with atomic_folder(folder) as temporary:
            for table in TABLES:
                (temporary / table).mkdir()
                texts = getattr(self.material, table)
                with self.reporter.phase(f"tokenise {table} for {name}", len(texts)) as phase:
                    write_token_store(temporary / table, texts, opened.tokenizer, opened.stored_length, phase.reach)


def _from(phase: Phase, before: int) -> Callable[[int, int], None]:
    """Return a progress callback of a shard, which counts on from what was done before it."""
    return lambda done, _: phase.reach(before + done)
