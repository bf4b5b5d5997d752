"""`distilkit rerank`: the first stage's candidates of a split, in the order of one ranker or several."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distilkit.data.sources.tables import find_file
from distilkit.data.teacher_scores.combine import HOW, combine
from distilkit.errors import UserError, nearest
from distilkit.evaluation.trec import write_run
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.materials import Materials
from distilkit.scoring.launched import launched
from distilkit.scoring.rankers import named, open_all
from distilkit.scoring.together import score_each
from distilkit.settings import DataSettings
from distilkit.training.precision import choose_precision

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Rerank:
    """What `distilkit rerank` was asked for.

    Attributes:
        combine: how an ensemble's score is made of the models', whose run is written too; None for no ensemble
        architecture: which ranker a model is that does not say so
        query_length, document_length, max_length: tokens of texts and pairs; by default each model's own
    """

    models: Sequence[str]
    data: str
    output: Path
    runs_dir: Path
    split: str = "test"
    depth: int = 100
    candidates: str = "bm25"
    combine: str | None = None
    architecture: str | None = None
    query_length: int | None = None
    document_length: int | None = None
    max_length: int | None = None
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
    settings = data_settings(request.data, request.candidates)
    lengths = request.query_length, request.document_length, request.max_length
    with launched(quiet, "stopped; nothing was written") as (processes, reporter), reporter.live():
        rankers = open_all(models, request.architecture, lengths)
        artifacts = Artifacts(request.runs_dir / ".artifacts", processes, reporter)
        materials = Materials(settings, artifacts)
        qrels = materials.collection.qrels(request.split)
        queries = materials.query_set(request.split, qrels, request.depth)
        each = score_each(
            rankers,
            lambda opened: opened.collection_tokens(opened.materials(settings, artifacts)),
            *queries.candidates.pairs(),
            batch_size=request.batch_size,
            precision=choose_precision(request.bf16, False, processes.device),
            processes=processes,
            reporter=reporter,
        )
        scores = dict(zip(rankers, each.T, strict=True))
        if request.combine is not None:
            scores[ENSEMBLE] = combine(each, request.combine).astype(np.float64)
        if not processes.is_main:
            return None
        paths = {name: inserted(request.output, name) if len(scores) > 1 else request.output for name in scores}
        for name, path in paths.items():
            write_run(path, queries.candidates.run(queries.collection, scores[name]), tag=name)
        return paths


def data_settings(data: str, candidates: str) -> DataSettings:
    """Return the [data] table of a folder in BEIR's or MS MARCO's layout, or of the built-in collection."""
    if data == "pydocs":
        return DataSettings(source=data)
    folder = Path(data)
    if not folder.is_dir():
        raise UserError(
            f"--data {data}: there is no such folder; expected one of BEIR's or MS MARCO's layout, or pydocs"
        )
    source = "beir" if find_file(folder, "corpus.jsonl") else "msmarco"
    return DataSettings(source=source, path=data, candidates=candidates)


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
