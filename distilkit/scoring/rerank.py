"""`distilkit rerank`: the first stage's candidates of a split, in the order of one ranker or several."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilkit.data.sources.tables import find_file
from distilkit.data.teacher_scores.combine import HOW, combine
from distilkit.errors import UserError, nearest
from distilkit.evaluation.rerank import score_pairs
from distilkit.evaluation.trec import write_run
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.materials import Materials, QuerySet
from distilkit.runs.reporter import Reporter
from distilkit.scoring.launched import launched
from distilkit.scoring.rankers import Named, OpenRanker, named, open_ranker
from distilkit.settings import DataSettings
from distilkit.training.precision import choose_precision
from distilkit.training.processes import Processes

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Rerank:
    """What `distilkit rerank` was asked for; `combine` adds the run of the models' ensemble."""

    models: Sequence[str]
    data: str
    output: Path
    runs_dir: Path
    split: str = "test"
    depth: int = 100
    candidates: str = "bm25"
    combine: str | None = None
    max_length: int = 256
    batch_size: int = 64
    bf16: bool | str = "auto"


def rerank(request: Rerank, quiet: bool) -> dict[str, Path] | None:
    """Write a run per model, and one of their ensemble where asked; return their paths by name.

    With several runs each model's name stands before the output's suffix. Returns None but in the main process.
    Raises UserError for wrong input.
    """
    models = named(request.models)
    if request.combine is not None and len(models) < 2:
        raise UserError("--combine: an ensemble needs two models or more")
    if request.combine not in (None, *HOW):
        raise UserError(f"--combine: there is no {request.combine!r}{nearest(str(request.combine), HOW)}")
    settings = data_settings(request.data, request.candidates, request.max_length)
    with launched(quiet, "stopped; nothing was written") as (processes, reporter), reporter.live():
        rankers = {one: open_ranker(one.reference) for one in models}
        artifacts = Artifacts(request.runs_dir / ".artifacts", processes, reporter)
        materials = Materials(settings, artifacts)
        qrels = materials.collection.qrels(request.split)
        queries = materials.query_set(request.split, qrels, request.depth)
        scores = {
            one.name: _scores(one, opened, request, opened.materials(settings, artifacts), queries, processes, reporter)
            for one, opened in rankers.items()
        }
        if request.combine is not None:
            scores[ENSEMBLE] = combine(np.stack(list(scores.values()), axis=1), request.combine)
        if not processes.is_main:
            return None
        paths = {name: inserted(request.output, name) if len(scores) > 1 else request.output for name in scores}
        for name, path in paths.items():
            write_run(path, queries.candidates.run(queries.collection, scores[name]), tag=name)
        return paths


def data_settings(data: str, candidates: str, max_length: int) -> DataSettings:
    """Return the [data] table of a folder in BEIR's or MS MARCO's layout, or of the built-in collection."""
    if data == "pydocs":
        return DataSettings(source=data, max_length=max_length)
    folder = Path(data)
    if not folder.is_dir():
        raise UserError(
            f"--data {data}: there is no such folder; expected one of BEIR's or MS MARCO's layout, or pydocs"
        )
    source = "beir" if find_file(folder, "corpus.jsonl") else "msmarco"
    return DataSettings(source=source, path=data, candidates=candidates, max_length=max_length)


def inserted(output: Path, name: str) -> Path:
    """Return an output's path with a name before its suffix: `runs/dev.NAME.trec.gz`.

    Example:
        >>> inserted(Path("runs/dev.trec.gz"), "big").name
        'dev.big.trec.gz'
        >>> inserted(Path("dev"), "big").name
        'dev.big'
    """
    whole = output.name.removesuffix(".gz")
    packed = output.name[len(whole) :]
    stem, dot, suffix = whole.rpartition(".")
    return output.with_name(f"{stem}.{name}.{suffix}{packed}" if dot and stem else f"{whole}.{name}{packed}")


def _scores(
    one: Named,
    opened: OpenRanker,
    request: Rerank,
    materials: Materials,
    queries: QuerySet,
    processes: Processes,
    reporter: Reporter,
) -> Any:
    opened.ranker.to(processes.device)
    tokens = opened.collection_tokens(materials)
    pairs = queries.candidates.pairs()
    with reporter.phase(f"re-rank with {one.name}", len(pairs[0])) as phase:
        scores = score_pairs(
            opened.ranker,
            tokens,
            *pairs,
            batch_size=request.batch_size,
            precision=choose_precision(request.bf16, False, processes.device),
            processes=processes,
            progress=phase.reach,
        )
    opened.ranker.cpu()  # makes room for the next one
    return scores
