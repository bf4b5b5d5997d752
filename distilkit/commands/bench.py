"""`distilkit bench`: a ranker's latency, index time, memory, multiply-accumulates and storage on this machine."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from distilkit import options
from distilkit.bench.index_time import IndexTime, index_documents
from distilkit.bench.query_time import PAPER_DEPTH, Keeping, ReadTogether, paper_timing, rounds_at, time_depth
from distilkit.bench.result import Result, table_1
from distilkit.bench.workload import Workload, made_up, of_collection, open_subject
from distilkit.commands.launch import launched
from distilkit.commands.output import printed
from distilkit.data.side_tokens import SideTokens
from distilkit.data.tokens import PairTokens, TokenStore
from distilkit.errors import UserError
from distilkit.evaluation.cost import peak_kind, peak_memory, reset_peak
from distilkit.evaluation.macs_check import check_macs
from distilkit.evaluation.rerank import Tokens, computing
from distilkit.files import write_json
from distilkit.models.encoded import EncodedFile
from distilkit.models.references import stored_bytes
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import ProgressReporter
from distilkit.run_folders.folder import machine, versions
from distilkit.scoring.rankers import OpenRanker
from distilkit.training.precision import choose_precision

TOKENISATION = {"in": (True,), "out": (False,), "both": (True, False)}


def bench(asked: options.Bench) -> str:
    """Measure what is asked for; return the figures, which --output gets too.

    Raises UserError for wrong input, RunFailed where no batch fits into memory.
    """
    asked.check()
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None  # before this adds to it
    with launched(asked, "stopped; nothing was measured") as (processes, reporter), reporter.live():
        if processes.count > 1:
            raise UserError("bench measures one process: start it without torchrun or accelerate")
        opened, trained = open_subject(asked)
        if asked.data is None:
            workload = made_up(opened.tokenizer, asked.queries, max(asked.depths), asked.text_lengths)
        else:
            workload = of_collection(asked, Workspace(asked.runs_dir / ".artifacts", processes, reporter))
        precision = opened.precision(choose_precision(asked.wants_bf16, False, processes.device))
        opened.ranker.to(processes.device)
        with torch.no_grad(), computing(precision, processes.device), tempfile.TemporaryDirectory() as folder:
            measured = Measuring(asked, opened, workload, processes.device, reporter).all(Path(folder))
    ranker = opened.ranker
    about = {"reference": asked.model, "architecture": ranker.architecture, "trained": trained}
    about |= {"backend": ranker.backend, "bytes": stored_bytes(opened.folder) if trained else None}
    ran = {**_machine(processes.device), "precision": ranker.stored or precision, "load": load}
    result = Result({"model": {**about, **_sizes(opened)}, **measured, "machine": ran})
    if asked.output is not None:
        write_json(asked.output, result.to_json())
    return printed(result, asked)


@dataclass(frozen=True)
class Measuring:
    """One ranker on one workload."""

    asked: options.Bench
    opened: OpenRanker
    workload: Workload
    device: torch.device
    reporter: ProgressReporter

    def all(self, folder: Path) -> dict[str, Any]:
        """Measure everything; encoded documents are written to a folder, and read from it again."""
        asked, workload, ranker = self.asked, self.workload, self.opened.ranker
        length, tokenizer = self.opened.stored_length, self.opened.tokenizer
        texts = workload.queries, workload.documents
        queries, passages = (TokenStore.of(some, tokenizer, length) for some in texts)
        tokens = self.opened.tokens(queries, passages)
        index, documents = self._index(tokens, folder / "documents.safetensors")
        reset_peak(self.device)
        query_time = [self._depth(depth, tokens, documents) for depth in asked.depths]
        peak = peak_memory(self.device)
        paper = self._paper(tokens, documents) if asked.paper else None
        counts = {"queries": len(workload.queries), "warm_up": asked.warm_up}
        return {
            "workload": {**counts, **workload.made_of, "documents": len(workload.documents)},
            "query_time": {"documents": "kept" if index else "read with the query", "depths": query_time},
            "index_time": index.to_json() if index else None,
            "storage": index.storage if index else None,
            "peak_memory": {
                "kind": peak_kind(self.device),
                "query_time_bytes": peak,
                "index_time_bytes": index.peak_memory_bytes if index else None,
            },
            "macs": self._macs(tokens),
            "paper": paper,
            "table_1": table_1(ranker, paper),
        }

    def _index(self, tokens: Tokens, path: Path) -> tuple[IndexTime | None, EncodedFile | None]:
        if not self.opened.ranker.keeps_documents or not isinstance(tokens, SideTokens):
            return None, None
        with self.reporter.phase("encode documents", len(self.workload.documents)) as phase:
            index = index_documents(self.opened.encoding, tokens, path, self.asked.sizes, self.device, phase.reach)
        return index, EncodedFile.open(path)

    def _depth(self, depth: int, tokens: Tokens, documents: EncodedFile | None) -> dict[str, Any]:
        asked, workload = self.asked, self.workload
        counted = TOKENISATION[asked.tokenisation]
        if documents is None or not isinstance(tokens, SideTokens):
            system: ReadTogether | Keeping = ReadTogether(self.opened, workload, tokens, True in counted, self.device)
        else:
            system = Keeping(self.opened, workload, tokens, documents, True in counted, self.device)
        rounds = rounds_at(asked.sizes, depth, len(workload.queries), asked.warm_up)
        with self.reporter.phase(f"queries with {depth} documents", rounds) as phase:
            found = time_depth(system, workload, depth, asked.sizes, asked.warm_up, self.device, phase.advance)
        return found.to_json(counted)

    def _paper(self, tokens: Tokens, documents: EncodedFile | None) -> dict[str, Any]:
        queries, warm_up = len(self.workload.queries), self.asked.warm_up
        rows, ranker = self.workload.rows(0, PAPER_DEPTH), self.opened.ranker
        with self.reporter.phase("the paper's timing", queries + warm_up) as phase:
            return paper_timing(ranker, tokens, documents, rows, queries, warm_up, self.device, phase.advance)

    def _macs(self, tokens: Tokens) -> dict[str, Any]:
        """Return the operations of the longest query with the longest document; of a pair they fill its length."""
        ranker, longest = self.opened.ranker, self.opened.max_length
        if isinstance(tokens, PairTokens):
            query = min(int(tokens.queries.lengths.max()), longest // 2)
            document = longest - query
        else:
            query, document = tokens.queries.longest, tokens.documents.longest
        with torch.autocast(self.device.type, enabled=False):
            check = check_macs(ranker, query, document)
        split = ranker.side_macs(query, document)._asdict()
        return {"query_length": query, "document_length": document, "split": split, "pair": check.to_json()}


def _sizes(opened: OpenRanker) -> dict[str, int]:
    ranker = opened.ranker
    sizes = {"layers": ranker.num_layers, "hidden_size": ranker.hidden_size, "parameters": ranker.parameter_count}
    return {**sizes, **opened.lengths}


def _machine(device: torch.device) -> dict[str, Any]:
    """Describe the machine and what it computes on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {**machine(), "device": name, "threads": torch.get_num_threads(), "versions": versions()}
