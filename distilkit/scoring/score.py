"""`distilkit score`: the raw logits of one teacher or several, written so that a kill loses and doubles nothing."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilkit import __version__
from distilkit.data.teacher_scores.combine import combine, statistics
from distilkit.data.teacher_scores.provenance import read_provenance, require_match
from distilkit.data.teacher_scores.write import write_parquet, write_tsv
from distilkit.errors import Stopped, UserError
from distilkit.files import atomic_folder, sha256_file
from distilkit.runs.reporter import Reporter
from distilkit.scoring import shards
from distilkit.scoring.material import Material, prepare
from distilkit.scoring.parts import Floats, Parts
from distilkit.scoring.rankers import OpenRanker, open_all
from distilkit.scoring.request import Request
from distilkit.scoring.shards import Scoring
from distilkit.training.precision import choose_precision
from distilkit.training.processes import Processes

FORMAT = 1


@dataclass(frozen=True)
class Scored:
    """The scores of a finished scoring, by teacher and of the ensemble, for each pair; what they were made of."""

    material: Material
    teachers: dict[str, Floats]
    score: Floats
    provenance: dict[str, Any]
    seconds: float

    @property
    def systems(self) -> dict[str, Floats]:
        """The teachers' scores and, where there are several teachers, the ensemble's."""
        return {**self.teachers, "ensemble": self.score} if len(self.teachers) > 1 else self.teachers


def score(request: Request, processes: Processes, reporter: Reporter) -> Scored | None:
    """Score what a request names and write its output; return None where `resume` finds it finished.

    Raises UserError for wrong input, RunFailed for scores that are not finite, Stopped when asked to stop.
    """
    started = time.monotonic()
    request.check()
    precision = choose_precision(request.bf16, False, processes.device)
    lengths = request.query_length, request.document_length, request.max_length
    rankers = open_all(request.models, request.architecture, lengths)
    asked = _asked(request, rankers, precision)
    parts = Parts.of(request.output)
    if request.resume and processes.broadcast(request.output.exists() and not parts.folder.exists()):
        require_match(read_provenance(request.output), asked, str(request.output))
        return None
    with ExitStack() as stack, _advice():
        processes.on_main(lambda: stack.enter_context(parts.claimed(request.resume)))
        with reporter.live():
            processes.on_main(lambda: parts.plan({**asked, **_details(request)}))
            material = _material(request, parts, processes)
            work = Scoring(material, parts, request.batch_size, precision, processes, reporter)
            teachers = {name: work.scores(name, opened) for name, opened in rankers.items()}
            combined, how = _combined(teachers, request.combine)
            made_of = {**asked, **how, "distilkit": __version__, "texts": material.facts["texts"]}
            scored = Scored(material, teachers, combined, made_of, time.monotonic() - started)
            processes.on_main(lambda: _write(request.output, scored))
            processes.on_main(parts.remove)
    return scored


@contextmanager
def _advice() -> Iterator[None]:
    """Say how a scoring that was stopped goes on."""
    try:
        yield
    except Stopped:
        raise Stopped("stopped; go on with --resume") from None


def _asked(request: Request, rankers: Mapping[str, OpenRanker], precision: str) -> dict[str, Any]:
    """Return what the scores depend on, as their provenance states it."""
    return {
        "format": FORMAT,
        "teachers": [{"name": name, **opened.identity()} for name, opened in rankers.items()],
        "precision": precision,
        "input": {"kind": request.kind, "sha256": sha256_file(request.path)},
        **({"combine": request.combine} if len(rankers) > 1 or request.combine != "mean" else {}),
    }


def _details(request: Request) -> dict[str, Any]:
    """Return what else the shards of one scoring must have in common: where they are cut, which texts they read."""
    corpus = request.corpus
    files = [*corpus.passages, *corpus.queries] if corpus else []
    sizes = [[file.path.name, file.path.stat().st_size] for file in files]
    return {"batch_size": request.batch_size, "shard": shards.SHARD, "corpus": sizes}


def _material(request: Request, parts: Parts, processes: Processes) -> Material:
    folder = parts.folder / "input"

    def build() -> None:
        if folder.exists():
            return
        try:
            with atomic_folder(folder) as temporary:
                prepare(temporary, request.path, request.kind, request.corpus)
        except UserError:
            parts.remove()  # nothing is left of what could not begin
            raise

    processes.on_main(build)
    return Material.open(folder)


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
