"""One prepared run for a machine with a GPU that is there for minutes, without a network.

    python -m benchmarks gpu_session --pack FOLDER              gather what that machine lacks: weights, wheels
    python -m benchmarks gpu_session --minutes 8 --output FOLDER [--teacher FOLDER/minilm]
    python -m benchmarks gpu_session --dry --output FOLDER      all of it in miniature, on the CPU

Every part is a process of its own with a time limit; the most telling comes first. A part that was done is left out
when the command is given again. After each part FOLDER/report.md holds all figures so far.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.gpu_session.pack import pack
from benchmarks.gpu_session.parts import PARTS
from benchmarks.gpu_session.world import MINILM

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Do the parts that are left; 1 where one failed or a figure misses its goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="after this time, start no further part and stop the one under way"
    )
    parser.add_argument("--output", type=Path, default=Path("gpu_session"))
    parser.add_argument("--teacher", default=MINILM, help="a model reference, such as the folder that --pack wrote")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--dry", action="store_true", help="in miniature, on the CPU")
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="gather weights and wheels, and do nothing else")
    given = parser.parse_args()
    if given.pack is not None:
        print(pack(given.pack))
        return 0
    given.output.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * given.minutes
    for name in given.only or PARTS:
        state = given.output / f"{name}.state"
        if state.exists() and state.read_text() == "done":
            continue
        left = end - time.monotonic()
        if left < 5:
            break
        ended = run_part(given, name, left if given.dry else min(left, PARTS[name][1]))
        state.write_text(ended)
        print(f"{name}: {ended}", flush=True)
        (given.output / "report.md").write_text(report(given.output))
    text = report(given.output)
    print(text)
    return int("| no |" in text or "failed" in text)


def run_part(given: argparse.Namespace, name: str, seconds: float) -> str:
    """Run a part and return how it ended: done, cut off, or failed with its last words."""
    words = ["-m", "benchmarks.gpu_session.parts", name, "--output", str(given.output), "--teacher", given.teacher]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [sys.executable, *(launcher if name == "train-processes" else []), *words, *["--dry"] * given.dry]
    (given.output / f"{name}.jsonl").unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *_paths()]),
        "TOKENIZERS_PARALLELISM": "false",
    }
    if name == "train-cpu" or given.dry:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    with (given.output / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.terminate()  # a launcher ends its own processes, which have sessions of their own
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()
            return f"cut off after {seconds:.0f} s"
    if code == 0:
        return "done"
    last = (given.output / f"{name}.log").read_text().strip().splitlines()[-1:]
    return f"failed with {code}: {''.join(last)[:300]}"


def _paths() -> list[str]:
    return [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]


def report(folder: Path) -> str:
    """Return all figures so far as Markdown."""
    lines = [
        f"GPU session, {time.strftime('%Y-%m-%d')}",
        "",
        "| part | what | figure | goal | reached |",
        "|---|---|---|---|---|",
    ]
    notes = []
    for name in PARTS:
        state = folder / f"{name}.state"
        if state.exists():
            notes.append(f"- {name}: {state.read_text()}")
        rows = folder / f"{name}.jsonl"
        for line in rows.read_text().splitlines() if rows.exists() else ():
            row = json.loads(line)
            lines.append(f"| {name} | {row['what']} | {figure(row)} | {goal(row)} | {reached(row)} |")
            notes += [f"- {name}, {row['what']}: {row['note']}"] if row["note"] else []
    return "\n".join([*lines, "", *notes]) + "\n"


def figure(row: dict[str, Any]) -> str:
    """Return a row's median with its spread."""
    value = row["value"]
    single = value["least"] == value["most"]
    return f"{value['median']:.4g}{row['unit']}" + ("" if single else f" [{value['least']:.4g}..{value['most']:.4g}]")


def goal(row: dict[str, Any]) -> str:
    """Return what a row should be."""
    wanted = row["goal"]
    if wanted is None:
        return "–"
    least = wanted["at_least"] is not None
    return f"at least {wanted['at_least']:g}" if least else f"at most {wanted['at_most']:g}"


def reached(row: dict[str, Any]) -> str:
    """Return whether it is."""
    return {None: "–", True: "yes", False: "no"}[row["reached"]]


if __name__ == "__main__":
    sys.exit(main())
