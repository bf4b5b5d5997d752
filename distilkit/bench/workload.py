"""What is timed: a ranker, trained or drawn around an encoder, and the texts that it reads, given or made up."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from distilkit.data.arrays import Integers
from distilkit.errors import UserError
from distilkit.files import content_key
from distilkit.models import STUDENTS, student_options
from distilkit.models.checkpoint import ENTRY, Checkpoint
from distilkit.models.initialise import student_from
from distilkit.models.load import architecture_of, load_tokenizer
from distilkit.options import Bench
from distilkit.pipeline.data import Data
from distilkit.pipeline.workspace import Workspace
from distilkit.scoring.data_option import data_settings
from distilkit.scoring.rankers import OpenRanker, model_folder, open_ranker
from distilkit.untrusted import parse_toml

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SEED = 1
WORD = re.compile(r"[^\W\d_]{2,}")
# What tokenizers put in front of a word's first token.
STARTS = "Ġ▁"
WORDS = 5000


@dataclass(frozen=True)
class Workload:
    """Queries, documents, and the rows of the documents that each query ranks."""

    queries: list[str]
    documents: list[str]
    candidates: list[Integers]
    made_of: dict[str, Any]

    def rows(self, query: int, depth: int) -> Integers:
        """Return the first documents of a query, fewer where it has fewer."""
        return self.candidates[query][:depth]


def open_subject(asked: Bench) -> tuple[OpenRanker, bool]:
    """Open the ranker to time, and tell whether it was trained to be one: else it is drawn around the model's encoder.

    A new ranker costs what a trained one does. Raises UserError for a model without an architecture, and for options of
    a new ranker where there is a trained one.
    """
    folder = model_folder(asked.model, asked.runs_dir)
    found = architecture_of(folder)
    if asked.architecture is not None and ENTRY not in Checkpoint(folder).config:
        # A model of sentence-transformers is an encoder, too, to draw another ranker around.
        other = STUDENTS.resolve(asked.architecture) != found or asked.option or asked.shape is not None
        found = None if other else found
    if found is None and asked.architecture is None:
        raise UserError(
            f"{asked.model} is an encoder, not a ranker: name the --architecture of the one to time around it, "
            f"{', '.join(STUDENTS)}"
        )
    if found is None:
        opened = _new_ranker(asked)
    elif asked.option or asked.shape is not None:
        raise UserError(f"{asked.model} is a {found} already: --option and --shape are for a new ranker")
    else:
        opened = open_ranker(asked.model, asked.architecture, runs_dir=asked.runs_dir, backend=asked.backend)
    opened = opened.with_lengths(asked.query_length, asked.document_length, asked.max_length)
    return opened.with_prefixes(asked.query_prefix, asked.document_prefix), found is not None


def _new_ranker(asked: Bench) -> OpenRanker:
    assert asked.architecture is not None
    folder = model_folder(asked.model, asked.runs_dir)
    tokenizer = load_tokenizer(folder)
    ranker = student_from(
        folder,
        architecture=asked.architecture,
        options=student_options(asked.architecture, options_table(asked.option or [])),
        shape=asked.shape,
        tokenizer=tokenizer,
    )
    return OpenRanker.of(ranker.eval(), tokenizer, folder, content_key(asked.model))


def options_table(values: Sequence[str]) -> dict[str, Any]:
    """Return options given as K=V, a number, true, false or a word; raises UserError for another form."""
    table: dict[str, Any] = {}
    for text in values:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise UserError(f"--option {text}: expected a name and a value, such as dim=128")
        try:
            table[name] = parse_toml(f"value = {value}")["value"]
        except ValueError:
            table[name] = value
    return table


def made_up(tokenizer: "PreTrainedTokenizerFast", queries: int, documents: int, lengths: tuple[int, int]) -> Workload:
    """Return random words: queries of one length, and documents of one length that all of them rank."""
    words = np.array(whole_words(tokenizer))
    draw = np.random.default_rng(SEED)

    def texts(count: int, length: int) -> list[str]:
        return [" ".join(row) for row in words[draw.integers(len(words), size=(count, length))]]

    made_of = {"source": "made up", "query_tokens": lengths[0], "document_tokens": lengths[1]}
    ranked = [np.arange(documents)] * queries
    return Workload(texts(queries, lengths[0]), texts(documents, lengths[1]), ranked, made_of)


def of_collection(asked: Bench, workspace: Workspace) -> Workload:
    """Return the first judged queries of a collection's split with their first-stage candidates.

    Raises UserError for missing data, and a split without judgements.
    """
    assert asked.data is not None
    data = Data.of(data_settings(asked.data, "bm25"), workspace)
    collection = data.collection
    ids = sorted(collection.qrels(asked.split))
    found = workspace.value(data.candidates(asked.split, ids, max(asked.depths)))
    rows = [row for row in range(len(ids)) if (found.passages[row] >= 0).any()][: asked.queries]
    if not rows:
        raise UserError(f"--split {asked.split}: none of its queries has candidates to rank")
    kept = [passages[passages >= 0] for passages in (np.asarray(found.passages[row]) for row in rows)]
    pool = np.unique(np.concatenate(kept))
    return Workload(
        collection.queries.texts(int(found.queries[row]) for row in rows),
        collection.passages.texts(pool),
        [np.searchsorted(pool, passages) for passages in kept],
        {"source": collection.name, "split": asked.split, "fingerprint": collection.fingerprint},
    )


def whole_words(tokenizer: "PreTrainedTokenizerFast") -> list[str]:
    """Return words of a vocabulary that are one token each."""
    special = set(tokenizer.all_special_tokens)
    tokens = [token for token in tokenizer.get_vocab() if token not in special]
    words = sorted({token.lstrip(STARTS) for token in tokens if WORD.fullmatch(token.lstrip(STARTS))})
    # Spread over the vocabulary, which may be large.
    words = words[:: max(1, len(words) // WORDS)]
    encoded = tokenizer(words, add_special_tokens=False)["input_ids"] if words else []
    found = [word for word, ids in zip(words, encoded, strict=True) if len(ids) == 1]
    if not found:
        raise UserError("the tokenizer's vocabulary has no whole words to make texts of: name a collection with --data")
    return found
