"""One `distilkit score`: what its scores depend on, their shards, and the file that is written at the end."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from distilkit import __version__
from distilkit.data.arrays import Integers, Progress
from distilkit.data.teacher_scores.combine import HOW, combine, statistics
from distilkit.data.teacher_scores.provenance import read_provenance, require_match
from distilkit.data.teacher_scores.write import write_parquet, write_tsv
from distilkit.errors import Stopped, UserError, nearest
from distilkit.files import read_object_or_empty, sha256_file, write_json
from distilkit.manifest import SEAL, is_sealed, sealed
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import ProcessGroup, ProgressPhase
from distilkit.run_folders.lock import Lock
from distilkit.scoring.inputs import holds_texts, read_wanted
from distilkit.scoring.nodes import Floats, ScoredTexts, Shard, SourceTokens
from distilkit.scoring.rankers import OpenRanker
from distilkit.scoring.texts import Material, PairsSource
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


def check(source: PairsSource, output: Path, how: str) -> None:
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
    """The pairs of a source scored by rankers into one file; its parts lie in a folder beside it until that is written.

    Attributes:
        source: what is scored
        rankers: by name; several are teachers of an ensemble
        output: a .tsv of triples, or a .parquet of pairs
        combine: how an ensemble's score is made of its teachers'
        batch_size: pairs a forward pass
        precision: what is computed in
    """

    source: PairsSource
    rankers: Mapping[str, OpenRanker]
    output: Path
    combine: str
    batch_size: int
    precision: Precision

    @property
    def parts(self) -> Path:
        """The folder of the nodes that are done before the output is."""
        return self.output.with_name(f"{self.output.name}.parts")

    def key(self) -> dict[str, Any]:
        """Return what the scores depend on, as their provenance states it."""
        return {
            "format": FORMAT,
            "teachers": [{"name": name, **opened.identity()} for name, opened in self.rankers.items()],
            "precision": self.precision,
            "input": {"kind": self.source.kind, "sha256": sha256_file(self.source.path)},
            **({"combine": self.combine} if len(self.rankers) > 1 or self.combine != "mean" else {}),
        }

    def build(self, processes: ProcessGroup, reporter: Reporter, resume: bool) -> Scored | None:
        """Score what is not scored yet and write the output; return None where `resume` finds it finished.

        Raises UserError for wrong input, RunFailed for scores that are not finite, Stopped when asked to stop.
        """
        started, key = time.monotonic(), self.key()
        if resume and processes.broadcast(self.output.exists() and not self.parts.exists()):
            require_match(read_provenance(self.output), key, str(self.output))
            return None
        workspace, texts = Workspace(self.parts, processes, reporter), ScoredTexts(self.source)
        with ExitStack() as stack, _advice():
            processes.on_main(lambda: stack.enter_context(self._claimed(resume, key)))
            try:
                material = workspace.value(texts)
            except UserError:
                processes.on_main(self._remove_parts)  # nothing is left of what could not begin
                raise
            teachers = {name: self._scores(name, opened, texts, workspace) for name, opened in self.rankers.items()}
            combined, how = _combined(teachers, self.combine)
            made_of = {**key, **how, "distilkit": __version__, "texts": material.facts["texts"]}
            scored = Scored(material, teachers, combined, made_of, time.monotonic() - started)
            processes.on_main(lambda: _write(self.output, scored))
            processes.on_main(self._remove_parts)
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

    @contextmanager
    def _claimed(self, resume: bool, key: dict[str, Any]) -> Iterator[None]:
        """Hold the lock of the parts for a block, which are of this very job.

        Without `resume`, raises UserError where there is an output or a part of one; and where another process is at
        work on it, or an earlier one was asked for something else.
        """
        if self.output.exists() and not resume:
            raise UserError(f"{self.output} exists; delete it, or choose another --output")
        if self.parts.exists() and not resume:
            raise UserError(f"{self.parts} holds an unfinished scoring; continue it with --resume, or delete it")
        lock = Lock(self.parts / "lock")
        if not lock.acquire():
            raise UserError(f"{self.parts}: another process is working on this scoring")
        try:
            # Parts of one scoring must also have in common where they are cut, and which texts they read.
            corpus = self.source.corpus.sizes() if self.source.corpus else []
            asked = {**key, "batch_size": self.batch_size, "shard": SHARD, "corpus": corpus}
            path = self.parts / "plan.json"
            if started := _plan(path):
                require_match(started, asked, f"{self.parts} was started with other options or inputs")
            else:
                write_json(path, sealed(asked))
            yield
        finally:
            lock.release()

    def _scores(self, name: str, opened: OpenRanker, texts: ScoredTexts, workspace: Workspace) -> Floats:
        """Return a teacher's raw score of every pair; shards that are there are not computed again."""
        pairs = workspace.value(texts).pairs.shape[1]
        tokens, made_of = SourceTokens(texts, name, opened), opened.identity()
        cuts = [(at, min(at + SHARD, pairs)) for at in range(0, pairs, SHARD)]
        shards = [Shard(tokens, made_of, rows, self.batch_size, self.precision) for rows in cuts]
        missing = [shard for shard in shards if not workspace.is_done(shard)]
        if missing:
            done = pairs - sum(shard.size for shard in missing)
            read = opened.tokens(*workspace.value(tokens))
            if (cut := read.cut(*workspace.value(texts).pairs)).texts:
                workspace.progress.say(f"{name}: {cut}")
            work = opened.ranker.pair_macs(read)
            phase_of = workspace.progress.phase(f"score with {name}", pairs, done=done, work=work)
            with opened.on(workspace.processes.device), phase_of as phase:
                for shard in missing:
                    workspace.prepare(replace(shard, progress=_from(phase, done)))
                    done += shard.size
        return np.concatenate([workspace.value(shard) for shard in shards])

    def _remove_parts(self) -> None:
        shutil.rmtree(self.parts)


def _plan(path: Path) -> dict[str, Any]:
    """Return what a scoring was started for, empty where nothing whole says it; its parts have keys of their own."""
    found = read_object_or_empty(path)
    if SEAL in found and not is_sealed(found):
        return {}
    return {name: value for name, value in found.items() if name != SEAL}


def _from(phase: ProgressPhase, before: int) -> Progress:
    """Return a progress callback of a shard, which counts on from what was done before it."""
    return lambda done, _: phase.reach(before + done)


@contextmanager
def _advice() -> Iterator[None]:
    """Say how a scoring that was stopped goes on."""
    try:
        yield
    except Stopped:
        raise Stopped("stopped; continue with --resume") from None


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
