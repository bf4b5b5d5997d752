"""The papers' tables, measured and written down: runs the suites and rewrites the pages that show them.

    python -m benchmarks evidence [--runs-dir runs] [--only SUITE...] [--bf16 auto]
                                                                           run what is left, then write
    python -m benchmarks evidence --write                                  write what there is

Suites go on where they were stopped. Tables stand between the markers of benchmarks/RESULTS.md, docs/evidence.md and
docs/guides/choosing-a-method.md; those of a suite that is not finished stay as they are.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.evidence.claims import PAPERS, baselines
from benchmarks.evidence.measured import read
from benchmarks.evidence.pages import EVIDENCE, GUIDE, RESULTS, ROOT, draw, rewrite
from benchmarks.evidence.tables import of_choices, of_claims, of_suite

STOPPED = (130, -signal.SIGINT, -signal.SIGTERM)
"""The exit codes of a suite that was asked to stop: with its checkpoints, or by a signal before it listened for one."""


def main() -> int:
    """Run the suites that are asked for, up to one that is stopped, and write; 1 where one of them failed."""
    parser = argparse.ArgumentParser(
        "evidence", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--only", nargs="+", choices=PAPERS, default=list(PAPERS), metavar="SUITE")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="runs at the same time")
    parser.add_argument(
        "--bf16",
        choices=("false", "auto", "true"),
        default="false",
        help="train and evaluate in bfloat16; by default in float32, which does not depend on the processor",
    )
    parser.add_argument("--write", action="store_true", help="run nothing")
    given = parser.parse_args()
    wanted = [] if given.write else given.only
    failed = []
    for suite in wanted:
        code = run(suite, given.runs_dir, given.jobs, given.bf16)
        failed += [suite] if code else []
        if code in STOPPED:
            break
    write(given.runs_dir, ROOT)
    for suite in failed:
        print(f"evidence: {suite} did not finish; the same command goes on with it", file=sys.stderr)
    return int(bool(failed))


def command(suite: str, runs_dir: Path, jobs: int, bf16: str) -> list[str]:
    """Return the command line that runs a suite in so many processes, or goes on with it."""
    where = ["--runs-dir", str(runs_dir), "--resume", "auto"]
    precision = (f"{table}.bf16={bf16}" for table in ("train", "teacher.train", "evaluate"))
    sets = [word for key in (f"matrix.jobs={jobs}", *precision) for word in ("--set", key)]
    return [sys.executable, "-m", "distilkit", "run", str(ROOT / "recipes" / f"{suite}.toml"), *where, *sets]


def run(suite: str, runs_dir: Path, jobs: int, bf16: str) -> int:
    """Run a suite in a process of its own, and return its exit code; a signal to stop is passed on to it."""
    print(f"evidence: {suite}", flush=True)
    with subprocess.Popen(command(suite, runs_dir, jobs, bf16)) as process:
        before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal has told the suite as well
            return process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)


def write(runs_dir: Path, root: Path) -> None:
    """Rewrite the pages of a checkout from the suites in a folder of runs that are finished."""
    for suite in PAPERS:
        measured = read(runs_dir, suite)
        if not measured.results:
            print(f"evidence: {suite}: {measured.why_not}; its tables stay as they are", file=sys.stderr)
            continue
        rewrite(root, RESULTS, suite, of_suite(measured))
        shown = draw(measured, root)
        rewrite(root, EVIDENCE, suite, f"{of_claims(read(runs_dir, suite, baselines(suite)))}\n\n{shown}")
        rewrite(root, GUIDE, suite, of_choices(measured))


if __name__ == "__main__":
    sys.exit(main())
