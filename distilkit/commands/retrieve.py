"""`distilkit retrieve`: each query's best documents of a whole collection."""

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distilkit import options
from distilkit.commands.launch import launched
from distilkit.commands.output import printed
from distilkit.data.arrays import Integers
from distilkit.data.candidates import Candidates
from distilkit.data.collection import Collection
from distilkit.data.side_tokens import SideTokens
from distilkit.errors import UserError
from distilkit.evaluation.index import DocumentIndex
from distilkit.evaluation.measures import Evaluation, evaluate
from distilkit.evaluation.rerank import computing
from distilkit.evaluation.search import Searcher, Top, search, search_faiss, shared
from distilkit.evaluation.trec import Run, write_run
from distilkit.extras import require
from distilkit.models.encoded import encode_rows
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import ProcessGroup, ProgressReporter
from distilkit.scoring.data_option import data_settings
from distilkit.scoring.rankers import OpenRanker, named, open_ranker
from distilkit.tables import table

EVERY = "all"


@dataclass(frozen=True)
class Retrieved:
    """What was found: the run's file, how long it took, and what it is worth where there are judgements."""

    output: Path
    queries: int
    documents: int
    seconds: float
    evaluation: Evaluation | None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        found = {"output": str(self.output), "queries": self.queries, "documents": self.documents}
        found |= {"seconds": round(self.seconds, 3)}
        one = self.evaluation
        return found if one is None else {**found, "n": len(one.queries), "measures": one.means, "policy": one.policy}

    def to_text(self) -> str:
        """Return it for people."""
        text = f"{self.queries} queries, {self.documents} documents in {self.seconds:.1f} s: {self.output}"
        if self.evaluation is None:
            return f"{text}\nthere are no judgements, so it was not measured"
        means = self.evaluation.means
        return f"{table(list(means), [[f'{value:.4f}' for value in means.values()]])}\n{text}"


def retrieve(asked: options.Retrieve) -> str | None:
    """Write a run of each query's best documents, the evaluation policy's order throughout.

    Returns what is printed of it, None but in the main process. Raises UserError for wrong input, and for a ranker that
    cannot search.
    """
    if asked.faiss is not None:
        require("faiss", "faiss", "--faiss")
    tag = named([asked.model])[0].name
    kept = "the same command continues with the blocks kept in --index" if asked.index else "nothing was kept"
    with launched(asked, f"stopped; {kept}") as (processes, reporter), reporter.live():
        opened = open_ranker(asked.model, asked.architecture, reporter.say, asked.runs_dir, asked.backend)
        opened = opened.with_lengths(asked.query_length, asked.document_length)
        opened = opened.with_prefixes(asked.query_prefix, asked.document_prefix)
        _require_search(asked, opened)
        if asked.faiss is not None and processes.count > 1:
            raise UserError("--faiss searches in one process: start it without torchrun or accelerate")
        workspace = Workspace(asked.runs_dir / ".artifacts", processes, reporter)
        data = opened.data(data_settings(asked.data, "bm25"), workspace)
        queries = _queries(data.collection, asked.split)
        tokens = opened.collection_tokens(data, workspace)
        started = time.monotonic()
        precision = opened.precision(workspace.precision(asked.wants_bf16))
        opened.ranker.to(processes.device)
        assert isinstance(tokens, SideTokens)
        for side, rows, what in (
            (tokens.documents, np.arange(len(data.collection.passages)), "documents"),
            (tokens.queries, queries, "queries"),
        ):
            if (cut := side.cut(rows, what)).texts:
                reporter.say(f"{tag}: {cut}")
        with torch.no_grad(), computing(precision, processes.device):
            own = np.array(data.own(data.collection.queries.ids(queries)), np.int64)
            index = _index(asked, opened, tokens, data.collection, processes.device)
            processes.on_main(lambda: index.claim(_made_of(opened, data.collection, precision)))
            # A query that is a document may find itself, and is left out of its own results.
            depth = asked.depth + bool(len(own))
            top = _search(asked, opened, tokens, queries, replace(index, say=reporter.say), depth, processes, reporter)
        if not processes.is_main:
            return None
        run = _run(data.collection, queries, index.rows, top, own, asked.depth)
        write_run(asked.output, run, tag)
        seconds = time.monotonic() - started
        evaluation = _evaluation(data.collection, asked, run, int((own >= 0).sum()))
        return printed(Retrieved(asked.output, len(queries), len(index.rows), seconds, evaluation), asked)


def _require_search(asked: options.Retrieve, opened: OpenRanker) -> None:
    ranker = opened.ranker
    if not ranker.searches:
        raise UserError(
            f"{asked.model} is a {ranker.architecture}, which cannot search a whole collection: a bert_dot or a "
            "colbert can; re-rank candidates with `distilkit rerank`"
        )
    if asked.faiss is not None and ranker.storage_unit != "|P|":
        raise UserError(f"--faiss searches a bert_dot's single vectors: {asked.model} is a {ranker.architecture}")


def _queries(collection: Collection, split: str) -> Integers:
    """Return the rows of the queries that are searched for: those that a split judges, or all there are."""
    if split == EVERY:
        return np.arange(len(collection.queries))
    return np.array([collection.queries.index(query) for query in sorted(collection.qrels(split))], np.int64)


def _index(
    asked: options.Retrieve, opened: OpenRanker, tokens: SideTokens, collection: Collection, device: torch.device
) -> DocumentIndex:
    # By id descending, which is how ties are broken: a lower place is the better one.
    rows = np.ascontiguousarray(collection.passages.order[::-1])
    dtype = torch.float16 if asked.fp16 else torch.float32
    return DocumentIndex(opened.encoding, tokens.documents, rows, asked.batch_size, device, dtype, asked.index)


def _made_of(opened: OpenRanker, collection: Collection, precision: str) -> dict[str, Any]:
    """Return what encoded documents depend on."""
    ranker = {key: value for key, value in opened.identity().items() if key != "query_length"}
    return {**ranker, "precision": precision, "passages": collection.hashes["passages"]}


def _search(
    asked: options.Retrieve,
    opened: OpenRanker,
    tokens: SideTokens,
    queries: Integers,
    index: DocumentIndex,
    depth: int,
    processes: ProcessGroup,
    reporter: ProgressReporter,
) -> Top:
    size, device = asked.batch_size, processes.device
    encoded = encode_rows(opened.encoding.encode_query, tokens.queries, queries, batch_size=size, device=device)
    mine = range(processes.rank, len(index), processes.count)
    if kept := index.kept():
        reporter.say(f"--index {asked.index}: {kept} of {len(index)} blocks are there already")
    with reporter.phase("search documents", len(index.rows)) as phase:
        blocks = index.blocks(mine, partial(phase.reach, total=len(index.rows)))
        if asked.faiss is not None:
            return search_faiss(encoded, blocks, depth, asked.faiss)
        assert isinstance(opened.ranker, Searcher)
        return shared(search(opened.ranker, encoded, blocks, depth, device), depth, processes)


def _run(collection: Collection, queries: Integers, rows: Integers, top: Top, own: Integers, depth: int) -> Run:
    found = Candidates(queries, rows[top.places.numpy()], top.scores.double().numpy())
    return (found.without(own) if len(own) and found.passages.shape[1] > depth else found).run(collection)


def _evaluation(collection: Collection, asked: options.Retrieve, run: Run, own: int) -> Evaluation | None:
    if asked.split == EVERY:
        return None
    return evaluate(run, collection.qrels(asked.split), [f"R@{asked.depth}", "RR@10", "nDCG@10"], own)
