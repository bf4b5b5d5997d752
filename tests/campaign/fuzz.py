"""Fuzz: files that others may have written are damaged, mixed and made up, and every reader is asked to read them.

A command ends with 0, 1, 2 or 130 within its time and memory, and without a traceback; one trial reads many inputs.
"""

import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from random import Random

from cli_processes import started

from tests.campaign.place import Place, Wrong

INPUTS = 100
"""Inputs of a trial, all read by one process."""
SECONDS = 60
MEMORY = 8 << 30

# Pieces that have broken readers of text, JSON, TOML and tables before.
PIECES = [
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\x1b[31m", b"\xed\xa0\x80", b'"', b"\\", b"\t\t", b",,", b"\n\n"),
    *(b"NaN", b"Infinity", b"-1e400", b"1" * 5000, b"null", b"[]", b"{}", b"[" * 3000, b'{"a":' * 3000, b"true", b"-0"),
    *(b"[[a]]", b"= =", b"'''", b"../../etc/passwd", b"=1+1", "\u202e\u2028é".encode(), b"9" * 25, b"1e-400"),
]


def trial(place: Place, random: Random, folder: Path) -> str:
    """Read many inputs in one process; it says before each which that is, and survives them all."""
    done, _, _ = place.undisturbed("run")
    shutil.copytree(done / "runs", folder / "runs", dirs_exist_ok=True)
    shutil.copytree(place.world.folder, folder / "world")
    seed, trail = random.randrange(1 << 30), folder / "trail"
    with started(_read, folder, seed, trail, folder=folder / "said") as process:
        code = process.wait()
        said = process.stderr
    lines = trail.read_text().splitlines() if trail.exists() else []
    if code != 0 or len(lines) < INPUTS:
        raise Wrong(f"input {len(lines)}, {lines[-1] if lines else 'none'}: ended with {code}: {said[-400:]}")
    kinds = {line.split(":")[0] for line in lines}
    return f"{len(lines)} inputs, seed {seed}: {', '.join(sorted(kinds))}"


def _targets(folder: Path) -> list[tuple[Path, list[str]]]:
    """Return files, each with a command that reads it."""
    runs, world, run = folder / "runs", folder / "world", folder / "runs" / "tiny"
    test, qrels = run / "eval" / "test", world / "tiny" / "qrels"
    evaluate = ["evaluate", str(test / "run.trec"), "--qrels", str(qrels / "test.tsv"), "--measures", "nDCG@10"]
    compare, show = ["compare", "tiny", "--runs-dir", str(runs)], ["show", "tiny", "--runs-dir", str(runs)]
    listed, clean = ["runs", "--runs-dir", str(runs)], ["clean", "--runs-dir", str(runs)]
    plan = ["run", str(world / "recipe.toml"), "--runs-dir", str(folder / "planned"), "--dry-run"]
    found = [(test / "run.trec", evaluate), (qrels / "test.tsv", evaluate), (test / "run.trec", compare)]
    found += [(test / name, compare) for name in ("per_query.csv", "measures.json", "cost.json", "qrels.tsv")]
    found += [(run / name, command) for name in ("run.json", "status.json") for command in (listed, show, compare)]
    found += [(run / "artifacts.json", clean), (run / "events.jsonl", [*compare, "--tables", "training"])]
    found += [(world / "recipe.toml", plan), (qrels / "train.tsv", plan), (qrels / "dev.tsv", plan)]
    found += [(world / "tiny" / name, plan) for name in ("corpus.jsonl", "queries.jsonl")]
    names = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
    return found + [(world / "teacher" / name, plan) for name in names]


def _read(folder: Path, seed: int, trail: Path) -> None:
    from distilkit.cli import main

    # A collection that is read again for every input, as its fingerprint may be another.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    random, targets = Random(seed), _targets(folder)
    for number in range(INPUTS):
        file, words = random.choice(targets)
        whole = file.read_bytes()
        with trail.open("a") as line:
            line.write(f"{file.name} by {words[0]}: {number}\n")
        file.write_bytes(_broken(whole, random))
        try:
            _within_time(main, words)
        finally:
            kept = folder / "last-input"
            shutil.copyfile(file, kept)
            file.write_bytes(whole)
        shutil.rmtree(folder / "planned", ignore_errors=True)


def _within_time(main: Callable[[], None], words: list[str]) -> None:
    """Be a command; raises for every end but those that the command line has."""
    out, code = StringIO(), 0
    sys.argv = ["distilkit", *words]
    signal.signal(signal.SIGALRM, lambda *_: os.abort())
    signal.alarm(SECONDS)
    try:
        with redirect_stdout(out), redirect_stderr(out):
            main()
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else 1
    finally:
        signal.alarm(0)
    if code not in (0, 1, 2, 130) or "Traceback" in out.getvalue():
        raise AssertionError(f"exit code {code}: {out.getvalue()[-300:]}")
    control = [one for one in out.getvalue() if ord(one) < 32 and one not in "\n\t"]
    if control:
        raise AssertionError(f"control characters were printed: {json.dumps(control[:5])}")


def _broken(data: bytes, random: Random) -> bytes:
    """Return some bytes with something done to them, once or a few times."""
    for _ in range(random.choice([1, 1, 2, 5])):
        at, to = sorted(random.randrange(len(data) + 1) for _ in range(2))
        piece = random.choice(PIECES)
        number = random.choice([b"1e999", b"-5", b"0", b"99999999999999999999", b"0.5", b"nan", b'"text"', b"[1]"])
        data = random.choice(
            [
                data[:at] + piece + data[at:],
                data[:at] + data[to:],
                data[:at],
                data[:to] + data[at:to] + data[to:],
                data[:at] + random.randbytes(random.randint(1, 20)) + data[at:],
                data[:at] + bytes([random.randrange(256)]) + data[at + 1 :],
                _with_number(data, number, random),
                b"",
            ]
        )
    return data


def _with_number(data: bytes, number: bytes, random: Random) -> bytes:
    """Return a text in which one of its numbers is another, or something else."""
    import re

    found = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if not found:
        return data + number
    one = random.choice(found)
    return data[: one.start()] + number + data[one.end() :]
