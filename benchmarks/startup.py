"""How long a user waits before anything happens: `--help`, and `compare` on run folders."""

import json
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness import Goal, Options, Row, Spread
from distilkit.evaluation.measures import evaluate
from distilkit.evaluation.results import write_evaluation
from distilkit.evaluation.trec import write_qrels

QUERIES, DEPTH = 50, 100


def run(options: Options) -> Iterator[Row]:
    """Processor seconds of fresh processes."""
    helps = [seconds("-m", "distilkit", "--help") for _ in range(options.rounds + 1)][1:]
    yield Row("distilkit --help", Spread.of(helps), " s", Goal(at_most=0.3), "processor time of the process")
    with TemporaryDirectory() as folder:
        names = ["one", "two"]
        for name in names:
            write_run(Path(folder) / name, name)
        command = ["-m", "distilkit", "compare", *names, "--runs-dir", folder]
        whole = [seconds(*command) for _ in range(options.rounds + 1)][1:]
        note = "processor time of the process, imports and all"
        yield Row("distilkit compare on two run folders, 50 queries", Spread.of(whole), " s", Goal(at_most=1.5), note)


def seconds(*command: str) -> float:
    """Return the processor time of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def write_run(folder: Path, name: str) -> None:
    """Write what `compare` reads of a finished run."""
    noise = random.Random(name)
    qrels = {f"q{query}": {"d0": 1} for query in range(QUERIES)}
    ranked = {query: [(f"d{place}", noise.gauss(0, 1)) for place in range(DEPTH)] for query in qrels}
    place = folder / "eval" / "test"
    write_evaluation(place, "test", ranked, evaluate(ranked, qrels, "nDCG@10 RR@10"), "t")
    write_qrels(place / "qrels.tsv", qrels)
    (place / "cost.json").write_text("{}")
    resolved = {"name": name, "seed": 1, "strategy": {"name": "fine_tune"}}
    facts = {"strategy": "fine_tune", "student": "bert_dot", "overrides": [], "data": {}, "versions": {}, "created": ""}
    (folder / "run.json").write_text(json.dumps({"name": name, "seed": 1, "resolved": resolved, "twin": None, **facts}))
