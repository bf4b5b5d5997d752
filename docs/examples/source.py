"""A data source of one's own: a folder with passages.txt, queries.txt and relevant.txt, a line an entry."""

from pathlib import Path

import distilkit
from distilkit.data.sources.base import write_source
from distilkit.files import sha256_file

FILES = ("passages.txt", "queries.txt", "relevant.txt")


@distilkit.register_source("plain_lines")
class PlainLines:
    """Lines of passages and of queries; line n of relevant.txt holds the number of query n's passage.

    The first half of the queries is for training, the rest for the test.
    """

    def __init__(self, path):  # the parameters are keys of [data]
        self.path = Path(path)

    def key(self):
        """Return what the content depends on: the files' hashes, not where they lie."""
        return {"source": "plain_lines", "files": [sha256_file(self.path / name) for name in FILES]}

    def write(self, folder):
        """Write the collection."""
        passages, queries, relevant = ((self.path / name).read_text().splitlines() for name in FILES)
        qrels = {f"q{n}": {f"d{int(passage)}": 1} for n, passage in enumerate(relevant)}
        half = len(queries) // 2
        write_source(
            folder,
            lambda error: f"{self.path}",
            name="plain_lines",
            passages=((f"d{n}", text) for n, text in enumerate(passages)),
            queries=((f"q{n}", text) for n, text in enumerate(queries)),
            qrels={
                "train": {f"q{n}": qrels[f"q{n}"] for n in range(half)},
                "test": {f"q{n}": qrels[f"q{n}"] for n in range(half, len(queries))},
            },
            info={"source": "plain_lines"},
        )
