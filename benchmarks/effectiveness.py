"""Does the default recipe's student beat its label-only twin and BM25, on seeds that played no part in its making?

    python benchmarks/effectiveness.py --seeds 11 12 13 [--budget total_compute] [--set KEY=VALUE] [--runs-dir runs]

Runs recipes/simplified_tinybert.toml once a seed (the teacher is shared), and prints a Markdown table of means on the
test queries, differences and p after Holm: for each seed, and last for each query's mean over the seeds.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MEASURE = "nDCG@10"


def main() -> None:
    """Run the seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="recipes/simplified_tinybert.toml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--budget", choices=["steps", "compute", "total_compute"], default="steps")
    parser.add_argument("--set", action="append", default=[], dest="settings", help="as of distilkit run")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    options = parser.parse_args()
    rows = [row for seed in options.seeds for row in run_seed(options, seed)] + over_seeds(options)
    print(
        f"| seed | {MEASURE}: BM25 | teacher | label-only | distilled | against | difference | p | p Holm | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))


def run_seed(options: argparse.Namespace, seed: int) -> list[str]:
    """Run one seed and return its rows, one a baseline."""
    name = name_of(options, seed)
    start = time.monotonic()
    command = [sys.executable, "-m", "distilkit", "run", options.recipe, "--name", name, "--seed", str(seed)]
    for setting in (f"twin.budget={options.budget}", *options.settings):
        command += ["--set", setting]
    command += ["--runs-dir", str(options.runs_dir), "--resume", "auto", "--json"]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    seconds = time.monotonic() - start
    for system, choice in found["choices"].items():
        print(f"{system}: {choice}", file=sys.stderr)
    return _rows(str(seed), name, found["sets"]["test"], f"{seconds:.0f}")


def name_of(options: argparse.Namespace, seed: int) -> str:
    """Return the name of a seed's run."""
    return f"effectiveness-{options.budget}-seed{seed}"


def over_seeds(options: argparse.Namespace) -> list[str]:
    """Return the rows of each query's mean over the seeds; none of a single seed."""
    if len(options.seeds) < 2:
        return []
    names = [name_of(options, seed) for seed in options.seeds]
    system = names[0].rpartition("-seed")[0]
    command = [sys.executable, "-m", "distilkit", "compare", *names, "--runs-dir", str(options.runs_dir), "--json"]
    command += [part for one in ("bm25", "teacher", f"{system}-label_only") for part in ("--baseline", one)]
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return _rows("all", system, result, "")


def _rows(seed: str, name: str, result: dict[str, Any], seconds: str) -> list[str]:
    means = {one["name"]: one["mean"] for one in result["systems"] if one["measure"] == MEASURE}
    shown = " | ".join(f"{means[system]:.4f}" for system in ("bm25", "teacher", f"{name}-label_only", name))
    compared = [one for one in result["comparisons"] if one["system"] == name and one["measure"] == MEASURE]
    return [f"| {seed} | {shown} | {_against(one, name)} | {seconds} |" for one in compared]


def _against(one: dict[str, Any], name: str) -> str:
    baseline = one["baseline"].removeprefix(f"{name}-")
    return f"{baseline} | {one['mean_difference']:+.4f} | {one['p']:.2g} | {one['p_adjusted']:.2g}"


if __name__ == "__main__":
    main()
