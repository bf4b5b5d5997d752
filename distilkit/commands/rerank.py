"""`distilkit rerank`: the first stage's candidates of a split, in the order of one ranker or several."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from distilkit import option_values, options
from distilkit.commands.launch import launched
from distilkit.data.teacher_scores.combine import HOW, combine
from distilkit.errors import UserError, nearest
from distilkit.evaluation.rerank import Tokens
from distilkit.evaluation.trec import write_run
from distilkit.pipeline.data import Data
from distilkit.pipeline.workspace import Workspace
from distilkit.scoring.costs import measure_costs, write_cost
from distilkit.scoring.data_option import data_settings
from distilkit.scoring.rankers import OpenRanker, named, open_all, score_each

ENSEMBLE = "ensemble"


def rerank(asked: options.Rerank) -> str | None:
    """Write a run per model, and one of their ensemble where asked; return their paths, None but in the main process.

    With several runs each model's name stands before the output's suffix. Raises UserError for wrong input.
    """
    models = named(option_values.references(asked.models))
    if asked.combine is not None and len(models) < 2:
        raise UserError("--combine: an ensemble needs two models or more")
    if asked.combine not in (None, *HOW):
        raise UserError(f"--combine: there is no {asked.combine!r}{nearest(str(asked.combine), HOW)}")
    settings = data_settings(asked.data, asked.candidates)
    lengths = asked.query_length, asked.document_length, asked.max_length
    with launched(asked, "stopped; nothing was written") as (processes, reporter), reporter.live():
        if asked.cost and processes.count > 1:
            raise UserError("--cost measures one process: start it without torchrun or accelerate")
        prefixes = asked.query_prefix, asked.document_prefix
        rankers = open_all(models, asked.architecture, lengths, reporter.say, asked.runs_dir, prefixes, asked.backend)
        workspace = Workspace(asked.runs_dir / ".artifacts", processes, reporter)
        data = Data.of(settings, workspace)
        for said in data.notes:
            reporter.say(said)
        queries = sorted(data.collection.qrels(asked.split))
        candidates = workspace.value(data.candidates(asked.split, queries, asked.depth))

        def tokens(opened: OpenRanker) -> Tokens:
            return opened.collection_tokens(opened.data(settings, workspace), workspace)

        precision = workspace.precision(asked.wants_bf16)
        how: dict[str, Any] = {"batch_size": asked.batch_size, "precision": precision}
        how |= {"processes": processes, "reporter": reporter}
        each = score_each(rankers, tokens, *candidates.pairs(), **how)
        costs = measure_costs(rankers, tokens, candidates, **how) if asked.cost else {}
        scores = dict(zip(rankers, each.T, strict=True))
        if asked.combine is not None:
            scores[ENSEMBLE] = combine(each, asked.combine).astype(np.float64)
        if not processes.is_main:
            return None
        paths = {name: inserted(asked.output, name) if len(scores) > 1 else asked.output for name in scores}
        for name, path in paths.items():
            write_run(path, candidates.run(data.collection, scores[name]), tag=name)
            if name in costs:
                write_cost(path, costs[name])
    written = {name: str(path) for name, path in paths.items()}
    return json.dumps(written, indent=2) if asked.json_ else "\n".join(written.values())


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
