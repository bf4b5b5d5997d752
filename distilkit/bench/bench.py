"""`distilkit bench`: a ranker's latency, index time, memory, multiply-accumulates and storage on this machine."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from distilkit.bench.index_time import IndexTime, index_documents
from distilkit.bench.paper import paper_timing, table_1
from distilkit.bench.query_time import Keeping, QueryTime, Reading
from distilkit.bench.request import PAPER_DEPTH, Bench
from distilkit.bench.result import Result
from distilkit.bench.rounds import rounds_at, time_depth
from distilkit.bench.subject import Subject, open_subject
from distilkit.bench.workload import Workload, made_up, of_collection, store_of
from distilkit.errors import UserError
from distilkit.evaluation.counted import check_macs
from distilkit.evaluation.macs import side_macs
from distilkit.evaluation.memory import peak_kind, peak_memory, reset_peak
from distilkit.evaluation.rerank import computing
from distilkit.evaluation.storage import keeps_documents
from distilkit.models.encoded import EncodedFile
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.folder import machine, versions
from distilkit.runs.reporter import Reporter
from distilkit.scoring.launched import launched
from distilkit.training.precision import choose_precision

TOKENISATION = {"in": (True,), "out": (False,), "both": (True, False)}


def bench(request: Bench, quiet: bool) -> Result:
    """Measure what a request names. Raises UserError for wrong input, RunFailed where no batch fits into memory."""
    request.check()
    load = _load()
    with launched(quiet, "stopped; nothing was measured") as (processes, reporter), reporter.live():
        if processes.count > 1:
            raise UserError("bench times one process: start it without a launcher")
        subject = open_subject(request)
        if request.data is None:
            workload = made_up(request, subject.opened.tokenizer)
        else:
            workload = of_collection(request, Artifacts(request.runs_dir / ".artifacts", processes, reporter))
        precision = choose_precision(request.bf16, False, processes.device)
        subject.ranker.to(processes.device)
        with torch.no_grad(), computing(precision, processes.device), tempfile.TemporaryDirectory() as folder:
            measured = Measuring(request, subject, workload, processes.device, reporter).all(Path(folder))
    return Result({**measured, "machine": {**_machine(processes.device), "precision": precision, "load": load}})


class Measuring:
    """One ranker on one workload."""

    def __init__(
        self, request: Bench, subject: Subject, workload: Workload, device: torch.device, reporter: Reporter
    ) -> None:
        self.request, self.subject, self.workload = request, subject, workload
        self.device, self.reporter = device, reporter
        self.max_length = subject.opened.max_length
        self.ranker = subject.ranker
        length, tokenizer = subject.opened.stored_length, subject.opened.tokenizer
        queries, documents = (store_of(texts, tokenizer, length) for texts in (workload.queries, workload.documents))
        self.tokens: Any = subject.opened.tokens(queries, documents)

    def all(self, folder: Path) -> dict[str, Any]:
        """Measure everything; encoded documents are written to a folder, and read from it again."""
        index, documents = self._index(folder / "documents.safetensors")
        reset_peak(self.device)
        query_time = [self._depth(depth, documents) for depth in self.request.depths]
        peak = peak_memory(self.device)
        paper = self._paper(documents) if self.request.paper else None
        return {
            "model": self._model(),
            "workload": {"queries": len(self.workload.queries), "warm_up": self.request.warm_up, **self._texts()},
            "query_time": {"documents": "kept" if index else "read with the query", "depths": query_time},
            "index_time": index.to_json() if index else None,
            "storage": index.storage if index else None,
            "peak_memory": {
                "kind": peak_kind(self.device),
                "query_time_bytes": peak,
                "index_time_bytes": index.peak_memory_bytes if index else None,
            },
            "macs": self._macs(),
            "paper": paper,
            "table_1": table_1(self.ranker, paper),
        }

    def _index(self, path: Path) -> tuple[IndexTime | None, EncodedFile | None]:
        if not keeps_documents(self.ranker):
            return None, None
        with self.reporter.phase("encode documents", len(self.workload.documents)) as phase:
            sizes = self.request.batch_sizes
            index = index_documents(self.ranker, self.tokens, path, sizes, self.device, phase.reach)
        return index, EncodedFile.open(path)

    def _depth(self, depth: int, documents: EncodedFile | None) -> dict[str, Any]:
        request, workload = self.request, self.workload
        tokenisation = TOKENISATION[request.tokenisation]
        rounds = rounds_at(request.batch_sizes, depth, len(workload.queries), request.warm_up)
        with self.reporter.phase(f"queries with {depth} documents", rounds) as phase:
            found = time_depth(
                self._system(documents, tokenises=True in tokenisation),
                workload,
                depth,
                request.batch_sizes,
                request.warm_up,
                self.device,
                phase.advance,
            )
        return found.to_json(tokenisation)

    def _system(self, documents: EncodedFile | None, tokenises: bool) -> QueryTime:
        opened = self.subject.opened
        if documents is None:
            return Reading(opened, self.workload, self.tokens, tokenises, self.device)
        return Keeping(opened, self.workload, self.tokens, documents, tokenises, self.device)

    def _paper(self, documents: EncodedFile | None) -> dict[str, Any]:
        queries, warm_up = len(self.workload.queries), self.request.warm_up
        rows = self.workload.rows(0, PAPER_DEPTH)
        with self.reporter.phase("the paper's timing", queries + warm_up) as phase:
            advance: Callable[[], object] = phase.advance
            return paper_timing(self.ranker, self.tokens, documents, rows, queries, warm_up, self.device, advance)

    def _lengths(self) -> tuple[int, int]:
        """Return the most tokens of a query and of a document; of a pair they add up to its length."""
        if self.subject.opened.reads_pairs:
            query = min(int(self.tokens.queries.lengths.max()), self.max_length // 2)
            return query, self.max_length - query
        return self.tokens.queries.longest, self.tokens.documents.longest

    def _macs(self) -> dict[str, Any]:
        query, document = self._lengths()
        with torch.autocast(self.device.type, enabled=False):
            check = check_macs(self.ranker, query, document)
        split = side_macs(self.ranker, query, document)._asdict()
        return {"query_length": query, "document_length": document, "split": split, "pair": check.to_json()}

    def _model(self) -> dict[str, Any]:
        return {
            "reference": self.request.model,
            "architecture": self.ranker.architecture,
            "trained": self.subject.trained,
            "layers": self.ranker.num_layers,
            "hidden_size": self.ranker.hidden_size,
            "parameters": self.ranker.parameter_count,
            **self.subject.opened.lengths,
        }

    def _texts(self) -> dict[str, Any]:
        return {**self.workload.made_of, "documents": len(self.workload.documents)}


def _machine(device: torch.device) -> dict[str, Any]:
    """Describe the machine and what it computes on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {**machine(), "device": name, "threads": torch.get_num_threads(), "versions": versions()}


def _load() -> float | None:
    """Return how many processes want a core, on the mean of the last minute, where the system says."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
