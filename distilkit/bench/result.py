"""What `distilkit bench` found: JSON for scripts, tables for people."""

from dataclasses import dataclass
from typing import Any

from distilkit.comparison.tables.cost import amount, size
from distilkit.models.ranker import Ranker
from distilkit.tables import plain, table

NOTHING = "–"


@dataclass(frozen=True)
class Result:
    """The figures of one bench, as plain data."""

    found: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return them as plain data."""
        return self.found

    def to_text(self) -> str:
        """Return them as tables for the terminal."""
        parts = [_title, _query_time, _sweeps, _index_time, _memory, _macs, _paper, _table_1, _machine]
        return "\n\n".join(text for part in parts if (text := part(self.found)))


def _title(found: dict[str, Any]) -> str:
    model, work = found["model"], found["workload"]
    drawn = "" if model["trained"] else ", newly initialised around its encoder: it costs as much as a trained one"
    lengths = (
        f"pairs of at most {model['max_length']} tokens"
        if "max_length" in model
        else f"queries of at most {model['query_length']} tokens and documents of {model['document_length']}"
    )
    of = (
        f"made-up ones of {work['query_tokens']} tokens, documents of {work['document_tokens']}"
        if work["source"] == "made up"
        else f"{plain(work['source'])}, {plain(work['split'])}"
    )
    size = "" if model["bytes"] is None else f", {model['bytes'] / 1e6:.1f} MB on the disk"
    in_onnx = ", scored with by onnxruntime" if model["backend"] == "onnx" else ""
    return (
        f"{model['architecture']}: {plain(model['reference'])}{drawn}{in_onnx}\n"
        f"{model['layers']} layers of {model['hidden_size']}, {amount(model['parameters'])} parameters{size}; "
        f"{lengths}\n"
        f"{work['queries']} queries ({of}), {work['documents']} documents, {work['warm_up']} queries of warm-up"
    )


def _query_time(found: dict[str, Any]) -> str:
    rows = []
    for depth in found["query_time"]["depths"]:
        for where in ("in", "out"):
            quantiles = depth.get(f"ms_per_query_tokenisation_{where}")
            if quantiles is not None:
                values = [ms(quantiles[name]) for name in ("p50", "p95", "p99")]
                rows.append([str(depth["depth"]), where, str(depth["batch_size"]), *values])
    kept = found["query_time"]["documents"] == "kept"
    how = "documents encoded before, read from disk in float16" if kept else "documents read with the query"
    lines = [f"Query time in milliseconds; {how}"]
    lines.append(table(["depth", "tokenisation", "batch size", "p50", "p95", "p99"], rows))
    for depth in found["query_time"]["depths"]:
        parts = ", ".join(f"{name} {ms(value)}" for name, value in depth["parts_p50"].items())
        fewer = "" if depth["documents"] == depth["depth"] else f" ({depth['documents']} documents on average)"
        lines.append(f"medians at depth {depth['depth']}{fewer}: {parts}")
    return "\n".join(lines)


def _sweeps(found: dict[str, Any]) -> str:
    lines = [
        f"batch sizes at depth {depth['depth']} (ms, median of a few queries): {_sweep(depth['sweep'])}"
        for depth in found["query_time"]["depths"]
    ]
    if found["index_time"]:
        lines.append(f"batch sizes of index time (ms/document): {_sweep(found['index_time']['sweep'])}")
    return "\n".join(lines)


def _sweep(sweep: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{one['batch_size']}: {'out of memory' if one['ms'] is None else ms(one['ms'])}{' (best)' * one['best']}"
        for one in sweep
    )


def _index_time(found: dict[str, Any]) -> str:
    index, storage = found["index_time"], found["storage"]
    if index is None:
        return "Index time and storage: none, as this ranker reads query and document together"
    kept = f"{storage['vectors']} vectors of {storage['vector_size']} numbers in {storage['dtype']}"
    return (
        f"Index time: {ms(index['ms_per_document'])} ms per document ({index['documents_per_second']}/s, "
        f"batches of {index['batch_size']}), without tokenisation\n"
        f"Storage: {kept}: {size(storage['bytes_per_document'])} per document measured, "
        f"{size(storage['bytes_per_document_by_formula'])} by formula"
    )


def _memory(found: dict[str, Any]) -> str:
    memory = found["peak_memory"]
    index = memory["index_time_bytes"]
    text = f"Peak memory ({memory['kind']}): {size(memory['query_time_bytes'])} at query time"
    return text if index is None else f"{text}, {size(index)} at index time"


def _macs(found: dict[str, Any]) -> str:
    macs = found["macs"]
    split, pair = macs["split"], macs["pair"]
    parts = f"query {amount(split['query'])}, document {amount(split['document'])}, pair {amount(split['pair'])}"
    named = [f"{name} {amount(count)}" for name, count in pair["outside_formula"].items()]
    named += [f"without {amount(pair['no_product'])} that are not matrix products"] if pair["no_product"] else []
    verdict = "as the formula says" if pair["agrees"] else "which DIFFERS from the formula"
    return (
        f"Multiply-accumulates of {macs['query_length']} + {macs['document_length']} tokens: {amount(pair['formula'])} "
        f"({parts})\n"
        f"counted in a forward pass: {amount(pair['counted'])}, {', '.join([verdict, *named])}; embedding look-up, "
        "normalisation, softmax and activations are counted in neither"
    )


def _paper(found: dict[str, Any]) -> str:
    paper = found["paper"]
    if paper is None:
        return ""
    time = paper["ms_per_query"]
    shown = "out of memory" if time is None else f"{ms(time['p50'])} ms per query (median)"
    repeated = (
        ""
        if paper["distinct_documents"] == paper["documents"]
        else (f" ({paper['distinct_documents']} of them, repeated)")
    )
    return f"Timed as in the Margin-MSE paper: {shown}\n{paper['conditions']}{repeated}"


def _table_1(found: dict[str, Any]) -> str:
    row = found["table_1"]
    latency, memory = row["query_latency_ms"], row["memory_bytes"]
    cells = [
        row["model"],
        "see compare",
        NOTHING if latency is None else f"{ms(latency)} ms",
        NOTHING if memory is None else size(memory),
        row["interaction"],
        "yes" if row["passage_cache"] else NOTHING,
        "yes" if row["nn_index"] else NOTHING,
        row["storage"] or NOTHING,
    ]
    header = ["model", "effectiveness", "query latency", "memory", "interaction", "cache", "NN index", "storage"]
    return f"Table 1 of Hofstätter et al. 2020 (latency and memory with --paper)\n{table(header, [cells])}"


def _machine(found: dict[str, Any]) -> str:
    machine = found["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    busy = (machine["load"] or 0) > machine["cores"] / 2
    warning = f"\nOther work was running (load {machine['load']}): the latencies are too high" if busy else ""
    return (
        f"{plain(machine['cpu'])}, {machine['cores']} cores, {machine['threads']} threads, {plain(machine['device'])}, "
        f"{machine['precision']}\n{packages}{warning}"
    )


def ms(value: float | None) -> str:
    """Return milliseconds with three figures."""
    if value is None:
        return NOTHING
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table_1(ranker: Ranker, paper: dict[str, Any] | None) -> dict[str, Any]:
    """Return a ranker's row of table 1; its relative effectiveness is what `distilkit compare` measures."""
    return {
        "model": ranker.architecture,
        "effectiveness": None,
        "query_latency_ms": paper["ms_per_query"]["p50"] if paper and paper["ms_per_query"] else None,
        "memory_bytes": paper["peak_memory_bytes"] if paper else None,
        "interaction": ranker.interaction,
        "passage_cache": ranker.keeps_documents,
        "nn_index": ranker.searches,
        "storage": ranker.storage_unit,
    }
