"""Writing a collection: streamed, checked, and hashed by content on the way."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilkit.data.arrays import Integers
from distilkit.data.judgements import Judgements, Qrels, Run, write_qrels, write_run
from distilkit.data.texts import Texts, write_texts
from distilkit.errors import UserError
from distilkit.files import content_key, sha256_file, write_json
from distilkit.untrusted import is_unicode

FORMAT = 1
BATCH = 4096
SPLITS = ("train", "dev", "test")


class ContentError(UserError):
    """A fault in the content that a source brought.

    `table` ("passages", "queries", "qrels/SPLIT", "candidates/SPLIT"), `key` (the ids of the row at fault) and
    `occurrence` let a source that read files name the file and the line; `rows` are those of a table, from 1.
    """

    def __init__(
        self,
        table: str,
        problem: str,
        key: tuple[str, ...] = (),
        occurrence: int = 1,
        rows: tuple[int, ...] = (),
    ) -> None:
        super().__init__(problem)
        self.table = table
        self.key = key
        self.occurrence = occurrence
        self.rows = rows


def write_collection(
    folder: Path,
    *,
    name: str,
    passages: Iterable[tuple[str, str]],
    queries: Iterable[tuple[str, str]],
    qrels: Mapping[str, Qrels],
    candidates: Mapping[str, Run] | None = None,
    info: Mapping[str, Any] | None = None,
) -> None:
    """Stream a collection into a folder as Arrow tables, judgements, given candidates and a manifest.

    Passages and queries are (id, text); qrels and candidates are keyed by split. The fingerprint in the manifest
    depends on the content alone: on the rows and their order, not on the order or place of the judgements.

    Rows of one id and one text are merged, as are equal judgements, and judgements of passages that there are not are
    kept, as relevant documents that no ranking reaches; `info` counts all of them. Raises ContentError, a UserError,
    for one id with two texts, for other unknown ids, an empty table, or a score that is not finite.
    """
    candidates = candidates or {}
    folder.mkdir(parents=True, exist_ok=True)
    hashes: dict[str, str] = {}
    merged: dict[str, int] = {}
    tables = {
        "passages": _write_table(folder, "passages", passages, hashes, merged),
        "queries": _write_table(folder, "queries", queries, hashes, merged),
    }
    repeated = {split: given.repeated for split, given in qrels.items() if isinstance(given, Judgements)}
    unreachable: dict[str, int] = {}
    splits = sorted(qrels, key=_split_order)
    for split in splits:
        unreachable[split] = _check_judgements(f"qrels/{split}", qrels[split], tables)
        write_qrels(folder / "qrels" / f"{split}.tsv", qrels[split])
        hashes[f"qrels/{split}"] = sha256_file(folder / "qrels" / f"{split}.tsv")
    for split in sorted(candidates, key=_split_order):
        _check_candidates(f"candidates/{split}", candidates[split], tables)
        write_run(folder / "candidates" / f"{split}.trec", candidates[split])
        hashes[f"candidates/{split}"] = sha256_file(folder / "candidates" / f"{split}.trec")
    manifest = {
        "format": FORMAT,
        "name": name,
        "fingerprint": content_key({"format": FORMAT, **hashes}),
        "hashes": hashes,
        "splits": splits,
        "candidates": sorted(candidates, key=_split_order),
        "info": {**_counts(tables, qrels), **_rules(merged, repeated, unreachable), **(info or {})},
    }
    write_json(folder / "manifest.json", manifest)


def _write_table(
    folder: Path, table: str, rows: Iterable[tuple[str, str]], hashes: dict[str, str], merged: dict[str, int]
) -> Texts:
    digest, path = hashlib.sha256(), folder / f"{table}.arrow"
    if not write_texts(path, _checked(table, rows), digest.update):
        raise ContentError(table, f"there are no {table}; expected at least one with an id and a text")
    texts = Texts.open(path)
    repeats, firsts = texts.repeats()
    if len(repeats):
        _require_equal(table, texts, repeats, firsts)
        digest, whole = hashlib.sha256(), path.with_suffix(".merged")
        write_texts(whole, _without(texts, repeats), digest.update)
        whole.replace(path)
        texts = Texts.open(path)
    hashes[table], merged[table] = digest.hexdigest(), len(repeats)
    return texts


def _require_equal(table: str, texts: Texts, repeats: Integers, firsts: Integers) -> None:
    """Raise ContentError for two rows of one id that have different texts."""
    for later, first in zip(repeats.tolist(), firsts.tolist(), strict=True):
        if texts.text(later) != texts.text(first):
            id = texts.id(later)
            problem = f"the {_kind(table)} id {id!r} has two different texts; expected one"
            number = 2 + int(((firsts == first) & (repeats < later)).sum())
            raise ContentError(table, problem, (id,), occurrence=number, rows=(first + 1, later + 1))


def _without(texts: Texts, repeats: Integers) -> Iterator[tuple[str, str]]:
    gone, row = np.zeros(len(texts), bool), 0
    gone[repeats] = True
    for ids, batch in texts.batches(BATCH):
        for id, text in zip(ids, batch, strict=True):
            if not gone[row]:
                yield id, text
            row += 1


def _checked(table: str, rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for id, text in rows:
        if id.split() != [id] or "\0" in id:
            # Run and judgement files separate their fields by blanks, and libraries in C end them at a null character.
            what = "a null character" if "\0" in id else "a blank"
            problem = f"the {_kind(table)} id {id!r} is empty or holds {what}; expected one word"
            raise ContentError(table, problem, (id,))
        if not (is_unicode(id) and is_unicode(text)):
            problem = (
                f"the {_kind(table)} {id!r} is not valid Unicode (half of a surrogate pair); expected whole characters"
            )
            raise ContentError(table, problem, (id,))
        yield id, text


def _check_judgements(table: str, qrels: Qrels, tables: Mapping[str, Texts]) -> int:
    """Return how many judgements are of passages that there are not; raises ContentError where most are."""
    if not any(qrels.values()):
        raise ContentError(table, "there are no judgements; expected at least one")
    pairs = [(query, passage) for query, judged in qrels.items() for passage in judged]
    _check_known(table, pairs, tables, ("queries",))
    unreachable = int((tables["passages"].find([passage for _, passage in pairs]) < 0).sum())
    if 2 * unreachable > len(pairs):
        # Some are missing from published collections; where most are, these are another one's, or columns are mixed up.
        _check_known(table, pairs, tables, ("passages",))
    return unreachable


def _check_candidates(table: str, run: Run, tables: Mapping[str, Texts]) -> None:
    pairs = [(query, passage) for query, ranked in run.items() for passage, _ in ranked]
    _check_known(table, pairs, tables, ("queries", "passages"))
    for query, ranked in run.items():
        seen: set[str] = set()
        for passage, score in ranked:
            if not math.isfinite(score):
                raise ContentError(table, f"the score {score} is not finite; expected a number", (query, passage))
            if passage in seen:
                problem = f"passage {passage!r} occurs twice for query {query!r}; expected every candidate once"
                raise ContentError(table, problem, (query, passage), occurrence=2)
            seen.add(passage)


def _check_known(
    table: str, pairs: Sequence[tuple[str, str]], tables: Mapping[str, Texts], names: Sequence[str]
) -> None:
    for place, (name, where) in enumerate((("queries", "queries"), ("passages", "corpus"))):
        if name not in names:
            continue
        unknown = tables[name].find([pair[place] for pair in pairs]) < 0
        if unknown.any():
            pair = pairs[int(unknown.argmax())]
            problem = f"the {_kind(name)} id {pair[place]!r} is unknown; expected one of the {where}"
            raise ContentError(table, problem, pair)


def _counts(tables: Mapping[str, Texts], qrels: Mapping[str, Qrels]) -> dict[str, Any]:
    splits = {
        split: {"queries": len(qrels[split]), "judgements": sum(map(len, qrels[split].values()))}
        for split in sorted(qrels, key=_split_order)
    }
    return {"passages": len(tables["passages"]), "queries": len(tables["queries"]), "splits": splits}


def _rules(merged: Mapping[str, int], repeated: Mapping[str, int], unreachable: Mapping[str, int]) -> dict[str, Any]:
    """Return how often rows and judgements were merged, and judgements kept that no ranking reaches, where any were."""
    counts = {"merged": merged, "repeated": repeated, "unreachable": unreachable}
    found = {name: {key: count for key, count in table.items() if count} for name, table in counts.items()}
    return {name: table for name, table in found.items() if table}


def _kind(table: str) -> str:
    return {"passages": "passage", "queries": "query"}[table]


def _split_order(split: str) -> tuple[int, str]:
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), split)
