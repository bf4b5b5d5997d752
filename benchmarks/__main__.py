"""Speed, measured: ratios of interleaved variants, each beside its goal.

    python -m benchmarks                         list the benchmarks
    python -m benchmarks NAME... [--rounds 5] [--json FILE] [--quick]
    python -m benchmarks all                     every benchmark of this list, some 40 minutes on a quiet core
    python -m benchmarks SCRIPT [OPTION...]      one of the scripts with options of their own

Each benchmark interleaves its variants in one process on one thread, and prints the median of the ratios over the
rounds with the least and the most, after a round that is not counted. Times are processor time. Run it pinned to one
core (`taskset -c 1 python -m benchmarks step`). `--quick` takes tiny models and few texts, to see that a benchmark
runs: its figures mean nothing. Leaves with 1 where a goal is missed.
"""

import argparse
import json
import os
import runpy
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import Options, Row


class Benchmark(NamedTuple):
    """Where a benchmark is, and what it measures."""

    module: str
    function: str
    summary: str

    @property
    def rows(self) -> Callable[[Options], Iterator[Row]]:
        """The function that measures."""
        function: Callable[[Options], Iterator[Row]] = getattr(
            import_module(f"benchmarks.{self.module}"), self.function
        )
        return function


BENCHMARKS = {
    "step": Benchmark("training", "step", "one-step distillation over the original way: MiniLM teacher, passages"),
    "step-base": Benchmark("training", "step_base", "the same with a teacher of BERT-base's size"),
    "step-documents": Benchmark("training", "step_documents", "the same with MiniLM and documents of 256 tokens"),
    "equality": Benchmark("equality", "run", "losses and gradients against the original way's; bf16 against fp32"),
    "buckets": Benchmark("training", "buckets", "batches of like length over random ones; the share of padding"),
    "ranker-distill": Benchmark("training", "ranker_distill", "cached and online teacher scores over fine-tuning"),
    "internals": Benchmark("training", "internals", "steps on kept internals of a teacher; when keeping them pays"),
    "two-steps": Benchmark("training", "two_steps", "Simplified TinyBERT's one step against TinyBERT's two"),
    "cross-encoder": Benchmark("peers", "cross_encoder", "CAT training over sentence-transformers' trainer"),
    "bi-encoder": Benchmark("peers", "bi_encoder", "DOT Margin-MSE over SentenceTransformerTrainer"),
    "reranking": Benchmark("peers", "reranking", "scoring 1,000 passages over CrossEncoder.predict"),
    "encoded-once": Benchmark("scoring", "encoded_once", "DOT, ColBERT and TK re-rank: texts once over pair by pair"),
    "serving": Benchmark("serving", "serving", "a query's 100 candidates: CrossEncoder, torch, ONNX, ONNX int8"),
    "attention-memory": Benchmark("gpu", "attention_memory", "peak memory of attention transfer without maps"),
    "loading": Benchmark("loading", "run", "data loading's share of a step; tokenising at second use"),
    "contention": Benchmark("contention", "run", "training beside other work on the same cores, by how threads wait"),
    "startup": Benchmark("startup", "run", "`distilkit --help`, and `compare` on run folders"),
}
SCRIPTS = {
    "tui": "start, processor share and memory of the terminal interface",
    "effectiveness": "the default recipe against its twin and BM25 on new seeds",
    "growth": "cost against collection size, teachers, mapped layers, processes",
    "evidence": "the papers' suites, run and written into RESULTS.md and docs/evidence.md; hours",
    "gpu": "the step on a GPU",
    "gpu_session": "a prepared run for a GPU that is there for minutes: what works, what agrees, how fast it is",
}


def main() -> int:
    """Run what is asked for; 1 where a goal is missed."""
    if len(sys.argv) > 1 and sys.argv[1] in SCRIPTS:
        sys.argv = sys.argv[1:]
        runpy.run_module(f"benchmarks.{sys.argv[0]}", run_name="__main__", alter_sys=True)
        return 0
    parser = argparse.ArgumentParser("benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*BENCHMARKS, "all", []])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if not given.names:
        print(listing())
        return 0
    names = list(BENCHMARKS) if "all" in given.names else given.names
    return measure(names, Options(given.rounds, given.quick), given.json)


def listing() -> str:
    """Return every name with what it measures."""
    known = {name: benchmark.summary for name, benchmark in BENCHMARKS.items()} | SCRIPTS
    return "\n".join(f"{name:16} {summary}" for name, summary in known.items())


def measure(names: list[str], options: Options, file: Path | None) -> int:
    """Print the rows of some benchmarks as Markdown, and write them as JSON."""
    one_thread()
    from benchmarks.machine import in_words, machine

    about = machine()
    print(f"{in_words(about)}, {options.rounds} rounds\n")
    print("| benchmark | what | median [least..most] | goal | reached |\n|---|---|---|---|---|")
    found: dict[str, list[Row]] = {}
    notes: list[str] = []
    for name in names:
        for row in BENCHMARKS[name].rows(options):
            found.setdefault(name, []).append(row)
            print(f"| {name} | {in_cells(row)} |", flush=True)
            notes += [f"- {row.what}: {row.note}"] if row.note else []
    print("\nSettings:\n\n" + "\n".join(notes))
    if file is not None:
        rows = {name: [row.to_json() for row in rows] for name, rows in found.items()}
        file.write_text(json.dumps({"machine": about, "rounds": options.rounds, "rows": rows}, indent=2) + "\n")
    return int(any(row.reached is False for rows in found.values() for row in rows))


def in_cells(row: Row) -> str:
    """Return a row's cells."""
    goal = "–"
    if row.goal is not None:
        least = row.goal.at_least is not None
        goal = f"{'at least' if least else 'at most'} {row.goal.at_least if least else row.goal.at_most:g}{row.unit}"
    reached = {None: "–", True: "yes", False: "no"}[row.reached]
    return f"{row.what} | {figure(row)} | {goal} | {reached}"


def figure(row: Row) -> str:
    """Return a row's figure with its spread, where it has one."""
    shown = f"{row.value.median:.3g}{row.unit}"
    single = row.value.least == row.value.most
    return shown if single else f"{shown} [{row.value.least:.3g}..{row.value.most:.3g}]"


def one_thread() -> None:
    """Keep every library to one thread; called before they are imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
        os.environ[name] = "false" if name == "TOKENIZERS_PARALLELISM" else "1"
    import torch

    torch.set_num_threads(1)


if __name__ == "__main__":
    sys.exit(main())
