"""Run folders as training leaves them, with known rankings and costs, for the tests of tables, plots and pages."""

import json
import random

from distilkit.evaluation.measures import evaluate
from distilkit.evaluation.results import write_evaluation
from distilkit.evaluation.trec import write_qrels

QUERIES = [f"q{number}" for number in range(16)]
QRELS = {query: {"d0": 2, "d3": 1, "d7": 0} for query in QUERIES}
DEPTH = 30
SCORES_OF = {
    10: {"positive_score": 5.0, "negative_score": 4.0},
    20: {"positive_score": 7.0, "negative_score": 1.0},
}


def ranked(skill, seed):
    """Return a run over one list of 30 documents that puts the relevant ones the higher the greater the skill."""
    noise = random.Random(seed)
    return {
        query: [
            (f"d{place}", skill * QRELS[query].get(f"d{place}", 0) + noise.gauss(0, 1)) for place in range(DEPTH)
        ]
        for query in QUERIES
    }  # fmt: skip


def write_record(folder, name, **keys):
    """Write a run.json."""
    record = {
        "name": name, "strategy": "margin_mse", "student": "bert_dot:L2_H128", "seed": 1, "twin": None,
        "overrides": [], "resolved": {"name": name}, "data": {}, "versions": {"distilkit": "0.0.9"}, "created": "now",
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps({**record, **keys}))


def write_place(folder, run, **cost):
    """Write one evaluation with its cost."""
    write_evaluation(folder, "test", run, evaluate(run, QRELS, "nDCG@10 RR@10"), "t")
    (folder / "cost.json").write_text(json.dumps(cost))


def budget(labels, macs, seconds, more=False):
    """Return what stands behind a ranker, with what the teacher adds to it."""
    own = {"labelled_queries": labels, "training_macs": macs, "training_seconds": seconds}
    added = {"labelled_queries": 900, "training_macs": 1e12, "training_seconds": 60.0} if more else {}
    return {**own, **{f"total_{key}": value + added.get(key, 0) for key, value in own.items()}}


def finished_runs(runs):
    """Write a run `s`, with twin and references, and a smaller one, `other`; return the folder of all runs."""
    machine = {"host": "h", "cpu": "c"}
    teacher = {"parameters": 109_000_000, "macs_per_pair": 22_900_000_000, "ms_per_query": {"p50": 300.0}, "depth": 30,
               "length": 256, "machine": machine, "peak_memory_bytes": 2**30}  # fmt: skip
    student = {**teacher, "parameters": 17_000_000, "macs_per_pair": 1_500_000_000, "ms_per_query": {"p50": 20.0}}
    for name, skill, times in (
        ("s", 2.0, {"intermediate": 7200.0, "prediction": 3600.0}),
        ("s-label_only", 1.0, {"fine_tune": 5400.0}),
        ("other", 1.5, {"prediction": 10_800.0}),
    ):
        own = {**student, "training_seconds": times, "teacher_seconds": 60.0}
        own["ms_per_query"] = {"p50": 10.0 if name == "other" else 20.0}
        if name != "s-label_only":
            rounds = [10.0, 11.0, 9.0] if name == "other" else [20.0, 25.0, 18.0]
            own["latency"] = {"own_ms": rounds, "beside_ms": [300.0, 330.0, 288.0]}
        home = runs / name / "eval" / "test"
        labels = 1600 if name == "s" else 2600
        own["budget"] = budget(labels, 2e12, sum(times.values()), more=name == "s")
        write_place(home, ranked(skill, name), **own)
        write_qrels(home / "qrels.tsv", QRELS)
        write_place(home / "references" / "bm25", ranked(0.5, "bm25"), parameters=0, macs_per_pair=0)
        write_place(home / "references" / "teacher", ranked(2.5, "teacher"), budget=budget(1000, 1e12, 60.0), **teacher)
        _write_files(runs / name, name, list(times))
    return runs


def _write_files(folder, name, stages):
    resolved = {"name": name, "seed": 1, "strategy": {"name": stages[-1]}, "train": {"learning_rate": 1e-4}}
    twin, twin_of = "s-label_only" if name == "s" else None, "s" if "label" in name else None
    write_record(folder, name, resolved=resolved, twin=twin, twin_of=twin_of)
    events = [{"kind": "validation", "stage": "teacher", "step": 5, "values": {"nDCG@10": 0.9}}]
    for stage in stages:
        for step in (10, 20):
            values = {"nDCG@10": 0.3 + step / 100}
            events += [
                {"kind": "train", "stage": stage, "step": step, "values": {"loss": 1.0, **SCORES_OF[step]}},
                {"kind": "validation", "stage": stage, "step": step, "values": values},
            ]
    (folder / "events.jsonl").write_text(
        "".join(json.dumps({"t": 1.0, **one}) + "\n" for one in events) + '{"kind": "val'
    )
    points = [{"examples": count, "seconds": count / 10, "nDCG@10": 0.2 + count / 1e4} for count in (1000, 3000)]
    first = points[1] if name == "s" else None
    record = {"measure": "nDCG@10", "within": 0.05, "first_within": first, "points": points}
    (folder / "curve.json").write_text(json.dumps(record))
