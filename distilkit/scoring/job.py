"""One `distilkit score`: what its scores depend on, their shards, and the file that is written at the end."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from distilkit import __version__
from distilkit.data.arrays import Integers
from distilkit.data.teacher_scores.combine import HOW, combine, statistics
from distilkit.data.teacher_scores.provenance import read_provenance, require_match
from distilkit.data.teacher_scores.write import write_parquet, write_tsv
from distilkit.data.tokens import TokenStore, write_token_store
from distilkit.errors import Stopped, UserError, nearest
from distilkit.evaluation.rerank import Tokens, score_pairs
from distilkit.files import atomic_folder, sha256_file
from distilkit.progress import ProcessGroup, ProgressPhase, ProgressReporter
from distilkit.scoring.inputs import holds_texts, read_wanted
from distilkit.scoring.parts import Floats, Parts
from distilkit.scoring.rankers import OpenRanker
from distilkit.scoring.texts import TABLES, Material, Source, prepare
from distilkit.training.precision import Precision

FORMAT = 1
SHARD = 65_536
"""Pairs whose scores are written at once: what a kill may cost."""


class Systems(NamedTuple):
    """Each system's score of every pair, and the pairs of each triple's positive and negative, if there are any."""

    scores: dict[str, Floats]
    triples: Integers | None


@dataclass(frozen=True)
class Scored:
    """The scores of a finished scoring, by teacher and of the ensemble, for each pair; what they were made of."""

    material: Material
    teachers: dict[str, Floats]
    score: Floats
    provenance: dict[str, Any]
    seconds: float

    @property
    def systems(self) -> Systems:
        """The teachers' scores and, where there are several teachers, the ensemble's."""
        several = len(self.teachers) > 1
        return Systems({**self.teachers, **({"ensemble": self.score} if several else {})}, self.material.triples)


def check(source: Source, output: Path, how: str) -> None:
    """Raise UserError for what can be told to be wrong before any ranker is opened; `how` is --combine."""
    path, kind = source.path, source.kind
    if not path.is_file():
        raise UserError(f"--{kind} {path}: there is no such file")
    if output.suffix not in (".tsv", ".parquet"):
        raise UserError(f"--output {output}: expected a name that ends in .tsv or .parquet")
    if output.suffix == ".tsv" and kind != "triples":
        raise UserError(f"--output {output}: the five columns of a TSV are triples; name a .parquet file")
    if how not in HOW:
        raise UserError(f"--combine: there is no {how!r}{nearest(how, HOW)}")
    texts = kind == "triples" and holds_texts(path)
    if texts and output.suffix == ".parquet":
        raise UserError(f"{path}: holds texts without ids, which only a .tsv output can name")
    if texts and source.corpus is not None:
        raise UserError(f"{path}: holds texts, not ids; score it without --data, --collection and --queries")
    if not texts and source.corpus is None:
        raise UserError(f"{path}: holds ids; name their texts with --data, or with --collection and --queries")


@dataclass(frozen=True)
class ScoreJob:
    """The pairs of a source scored by rankers into one file.

    Attributes:
        source: what is scored
        rankers: by name; several are teachers of an ensemble
        output: a .tsv of triples, or a .parquet of pairs
        combine: how an ensemble's score is made of its teachers'
        batch_size: pairs a forward pass
        precision: what is computed in
    """

    source: Source
    rankers: Mapping[str, OpenRanker]
    output: Path
    combine: str
    batch_size: int
    precision: Precision

    @property
    def parts(self) -> Parts:
        """The folder of what is done before the output is."""
        return Parts.of(self.output)

    def key(self) -> dict[str, Any]:
        """Return what the scores depend on, as their provenance states it."""
        return {
            "format": FORMAT,
            "teachers": [{"name": name, **opened.identity()} for name, opened in self.rankers.items()],
            "precision": self.precision,
            "input": {"kind": self.source.kind, "sha256": sha256_file(self.source.path)},
            **({"combine": self.combine} if len(self.rankers) > 1 or self.combine != "mean" else {}),
        }

    def build(self, processes: ProcessGroup, reporter: ProgressReporter, resume: bool) -> Scored | None:
        """Score what is not scored yet and write the output; return None where `resume` finds it finished.

        Raises UserError for wrong input, RunFailed for scores that are not finite, Stopped when asked to stop.
        """
        started, key, parts = time.monotonic(), self.key(), self.parts
        if resume and processes.broadcast(self.output.exists() and not parts.folder.exists()):
            require_match(read_provenance(self.output), key, str(self.output))
            return None
        corpus = self.source.corpus.sizes() if self.source.corpus else []
        with ExitStack() as stack, _advice():
            processes.on_main(lambda: stack.enter_context(parts.claimed(resume)))
            # The shards of one scoring must also have in common where they are cut, and which texts they read.
            cut = {"batch_size": self.batch_size, "shard": SHARD, "corpus": corpus}
            processes.on_main(lambda: parts.plan({**key, **cut}))
            processes.on_main(self._prepare)
            material = Material.open(parts.folder / "input")
            shards = Shards(self, material, processes, reporter)
            teachers = {name: shards.scores(name, opened) for name, opened in self.rankers.items()}
            combined, how = _combined(teachers, self.combine)
            made_of = {**key, **how, "distilkit": __version__, "texts": material.facts["texts"]}
            scored = Scored(material, teachers, combined, made_of, time.monotonic() - started)
            processes.on_main(lambda: _write(self.output, scored))
            processes.on_main(parts.remove)
        return scored

    def finished(self) -> Systems:
        """Return the scores that the output holds: of a TSV, which has no other, the ensemble's alone.

        Raises UserError for an output that is cut short.
        """
        triples = read_wanted(self.source.path, self.source.kind).triples
        names = list(self.rankers)
        whole = names[0] if len(names) == 1 else "ensemble"
        if self.output.suffix == ".tsv":
            assert triples is not None
            return Systems({whole: _of_tsv(self.output, triples)}, triples)
        table = pq.read_table(self.output)
        columns = {whole: "score"} if len(names) == 1 else {**{name: name for name in names}, whole: "score"}
        return Systems({name: table[column].to_numpy() for name, column in columns.items()}, triples)

    def _prepare(self) -> None:
        folder = self.parts.folder / "input"
        if folder.exists():
            return
        try:
            with atomic_folder(folder) as temporary:
                prepare(temporary, self.source)
        except UserError:
            self.parts.remove()  # nothing is left of what could not begin
            raise


@dataclass(frozen=True)
class Shards:
    """The scores of a job's pairs, teacher by teacher and shard by shard."""

    job: ScoreJob
    material: Material
    processes: ProcessGroup
    reporter: ProgressReporter

    def scores(self, name: str, opened: OpenRanker) -> Floats:
        """Return a teacher's raw score of every pair; shards that are there are not computed again."""
        pairs, parts = self.material.pairs.shape[1], self.job.parts
        shards = [slice(at, min(at + SHARD, pairs)) for at in range(0, pairs, SHARD)]
        missing = self.processes.broadcast(parts.missing(name, len(shards)))
        if missing:
            done = pairs - sum(shards[number].stop - shards[number].start for number in missing)
            tokens = self._tokens(name, opened)
            work = opened.ranker.pair_macs(tokens)
            label = f"score with {name}"
            with opened.on(self.processes.device), self.reporter.phase(label, pairs, done=done, work=work) as phase:
                for number in missing:
                    scores = self._shard(opened, tokens, shards[number], _from(phase, done))
                    self.processes.on_main(partial(parts.write, name, number, scores))
                    done += len(scores)
        return parts.read(name, len(shards))

    def _shard(self, opened: OpenRanker, tokens: Tokens, rows: slice, progress: Callable[[int, int], None]) -> Floats:
        queries, passages = (np.asarray(column[rows]) for column in self.material.pairs)
        scores = score_pairs(
            opened.ranker,
            tokens,
            queries,
            passages,
            batch_size=self.job.batch_size,
            precision=self.job.precision,
            processes=self.processes,
            progress=progress,
        )
        return scores.astype(np.float32)

    def _tokens(self, name: str, opened: OpenRanker) -> Tokens:
        """Return the tokens of all texts, kept for the process that resumes."""
        folder = self.job.parts.folder / "tokens" / name
        self.processes.on_main(lambda: None if folder.exists() else self._tokenise(folder, name, opened))
        queries, passages = (TokenStore.open(folder / table) for table in TABLES)
        return opened.tokens(queries, passages)

    def _tokenise(self, folder: Path, name: str, opened: OpenRanker) -> None:
        with atomic_folder(folder) as temporary:
            for table in TABLES:
                (temporary / table).mkdir()
                texts = getattr(self.material, table)
                with self.reporter.phase(f"tokenise {table} for {name}", len(texts)) as phase:
                    write_token_store(temporary / table, texts, opened.tokenizer, opened.stored_length, phase.reach)


def _from(phase: ProgressPhase, before: int) -> Callable[[int, int], None]:
    """Return a progress callback of a shard, which counts on from what was done before it."""
    return lambda done, _: phase.reach(before + done)


@contextmanager
def _advice() -> Iterator[None]:
    """Say how a scoring that was stopped goes on."""
    try:
        yield
    except Stopped:
        raise Stopped("stopped; go on with --resume") from None


def _combined(teachers: Mapping[str, Floats], how: str) -> tuple[Floats, dict[str, Any]]:
    """Return the ensemble's score, and the statistics by which it was standardised."""
    scores = np.stack(list(teachers.values()), axis=1)
    if how == "mean":
        return combine(scores), {}
    over = statistics(scores)
    means = {
        name: {"mean": float(mean), "deviation": float(deviation)}
        for name, mean, deviation in zip(teachers, *over, strict=True)
    }
    return combine(scores, how, over), {"statistics": means}


def _write(output: Path, scored: Scored) -> None:
    """Write the output in one step: a row per triple to a TSV, one per pair to Parquet."""
    queries, passages = scored.material.ids()
    if output.suffix == ".tsv":
        assert scored.material.triples is not None
        positive, negative = (np.asarray(side) for side in scored.material.triples)
        ids = queries.take(positive), passages.take(positive), passages.take(negative)
        write_tsv(output, scored.score[positive], scored.score[negative], *ids, scored.provenance)
        return
    several = scored.teachers if len(scored.teachers) > 1 else None
    write_parquet(output, queries, passages, scored.score, several, scored.provenance)


def _of_tsv(path: Path, triples: Integers) -> Floats:
    """Return the score of each pair from the two score columns of a TSV of triples."""
    sides = ("positive", "negative")
    names = pyarrow.csv.ReadOptions(column_names=[*sides, "query", "first", "second"])
    layout = pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False)
    types = pyarrow.csv.ConvertOptions(include_columns=sides, column_types=dict.fromkeys(sides, pa.float32()))
    table = pyarrow.csv.read_csv(path, names, layout, types)
    if len(table) != triples.shape[1]:
        raise UserError(f"{path}: holds {len(table)} triples, not the {triples.shape[1]} of its input")
    scores = np.empty(int(triples.max()) + 1, np.float32)
    for side, rows in zip(sides, triples, strict=True):
        scores[np.asarray(rows)] = pc.cast(table[side], pa.float32()).to_numpy()
    return scores
