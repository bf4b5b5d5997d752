"""What a SYSTEM argument of `distilkit compare` stands for."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from distilkit.errors import UserError, nearest
from distilkit.evaluation import results
from distilkit.files import read_json

REFERENCES = ("bm25", "teacher")
RECORD = "run.json"
"""The file that makes a folder a run folder."""


@dataclass(frozen=True)
class Source:
    """Where one system's results lie.

    `path` is a TREC run file (kind "file"), else the folder with run.trec, per_query.csv and measures.json; `qrels` the
    judgements that belong to it; `run` the name of the run that brought it. Of a run or twin, `home` is its folder and
    `record` its run.json; `renamed` tells whether `NAME=` named it.
    """

    name: str
    kind: str
    path: Path
    qrels: Path
    run: str = ""
    notes: tuple[str, ...] = ()
    home: Path | None = None
    record: dict[str, Any] = field(default_factory=dict)
    renamed: bool = False


def expand(arguments: Sequence[str], runs_dir: Path, eval_set: str) -> list[Source]:
    """Return the sources that arguments stand for, in order.

    Raises UserError for an argument that is neither run folder, run, suite nor file, and for a run without results.
    """
    found = [source for argument in arguments for source in _expand(argument, runs_dir, eval_set)]
    explicit = {source.path.resolve(): source.name for source in found if source.kind == "run"}
    kept: list[Source] = []
    seen: dict[Path, set[str]] = {}
    for source in found:
        # A twin that an argument names as well comes once, where it comes first, under the argument's name for it.
        path = source.path.resolve()
        kinds = seen.setdefault(path, set())
        if source.kind == "twin":
            source = replace(source, name=explicit.get(path, source.name))
        if not (source.kind == "twin" and kinds) and not (source.kind == "run" and "twin" in kinds):
            kept.append(source)
        kinds.add(source.kind)
    return kept


def shared_sets(arguments: Sequence[str], runs_dir: Path) -> list[str]:
    """Return the query sets that all runs among the arguments have results for, `test` first.

    A suite has those that all its evaluated runs have. Empty where there is none, or no run at all.
    """
    found = []
    for argument in arguments:
        _, path = _located(argument, runs_dir)
        if path.is_file():
            continue
        sets = [set(evaluated_sets(member)) for member in ([path] if _is_run(path) else _members(path))]
        found += [one for one in sets if one] or [set()]
    return sorted(set.intersection(*found) if found else set(), key=lambda name: (name != "test", name))


def evaluated_sets(folder: Path) -> list[str]:
    """Return the names of the query sets that a run has results for."""
    return sorted(one.name for one in (folder / "eval").glob("*") if _is_evaluated(one))


def _expand(argument: str, runs_dir: Path, eval_set: str) -> Iterator[Source]:
    name, path = _located(argument, runs_dir)
    if path.is_file():
        yield Source(name or file_name(path), "file", path, Path())
    elif _is_run(path):
        yield from _run(path, name, eval_set)
    else:
        yield from _suite(path, name, eval_set)


def _located(argument: str, runs_dir: Path) -> tuple[str | None, Path]:
    """Return the name that `NAME=` gives, if any, and the file, run folder or suite folder meant."""
    name, sign, rest = argument.partition("=")
    for given, text in ((None, argument), (name, rest)) if sign and name and rest else ((None, argument),):
        for path in (Path(text), runs_dir / text):
            if text and (path.is_file() or _is_run(path) or _members(path)):
                return given, path
    text = rest if sign else argument
    candidates = _candidates(Path(text), runs_dir)
    hint = nearest(text, candidates)
    if len(candidates) > 9 and not hint.startswith("; did"):
        hint = ""  # a list of all runs there are helps nobody
    raise UserError(f"{argument!r} is neither a run folder, a run or suite below {runs_dir}, nor a TREC run file{hint}")


def file_name(path: Path) -> str:
    """Return a run file's name: its base name without `.gz` and then without one of `.trec .run .txt`."""
    name = path.name.removesuffix(".gz")
    for suffix in (".trec", ".run", ".txt"):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _run(folder: Path, name: str | None, eval_set: str) -> Iterator[Source]:
    """Yield a run's first stage, teacher, label-only twin and student."""
    record = _record(folder)
    own = str(record.get("name") or folder.name)
    renamed, name = name not in (None, own), name or own
    home = _evaluation(folder, eval_set)
    qrels = home / results.QRELS
    for reference in REFERENCES:
        place = home / "references" / reference
        if _is_evaluated(place):
            yield Source(reference, reference, place, qrels, name)
    notes: tuple[str, ...] = ()
    if record.get("twin"):
        # A twin lies beside its run, also where the name holds the suite's.
        twin = folder.resolve().parent / Path(str(record["twin"])).name
        if _is_run(twin) and _is_evaluated(twin / "eval" / eval_set):
            place = twin / "eval" / eval_set
            label = str(record["twin"]) if name == own else f"{name}-label_only"
            yield Source(label, "twin", place, place / results.QRELS, name, (), twin, _record(twin), renamed)
        else:
            notes = (
                f"{record['twin']}, the label-only twin of {name}, has no results for the set {eval_set} and is "
                "left out",
            )
    yield Source(name, "run", home, qrels, name, notes, folder, record, renamed)


def _suite(folder: Path, name: str | None, eval_set: str) -> Iterator[Source]:
    if name is not None:
        raise UserError(f"{folder} is a suite of several runs, which one name, {name!r}, cannot stand for")
    members = _members(folder)
    evaluated = [member for member in members if _is_evaluated(member / "eval" / eval_set)]
    if not evaluated:
        raise UserError(f"{folder}: no run of this suite has results for the set {eval_set!r} yet")
    for place, member in enumerate(evaluated):
        for source in _run(member, None, eval_set):
            if place == 0 and source.kind == "run" and len(evaluated) < len(members):
                count = len(members) - len(evaluated)
                note = f"{count} of the {len(members)} runs of {folder.name} have no results for the set {eval_set} yet"
                source = replace(source, notes=(*source.notes, note))
            yield source


def _evaluation(folder: Path, eval_set: str) -> Path:
    place = folder / "eval" / eval_set
    if not _is_evaluated(place):
        sets = evaluated_sets(folder)
        hint = nearest(eval_set, sets) if sets else "; the run has not been evaluated yet"
        raise UserError(f"{folder}: no results for the set {eval_set!r}{hint}")
    return place


def _is_evaluated(place: Path) -> bool:
    return (place / results.PER_QUERY).is_file() or (place / results.RUN).is_file()


def _is_run(folder: Path) -> bool:
    return (folder / RECORD).is_file()


def _members(folder: Path) -> list[Path]:
    """Return the run folders of a suite's folder, by name."""
    if not folder.is_dir():
        return []
    return sorted(one for one in folder.iterdir() if not one.name.startswith(".") and _is_run(one))


def _record(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    try:
        record = read_json(path)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(record, dict):
        raise UserError(f"{path}: expected an object")
    return record


def _candidates(path: Path, runs_dir: Path) -> list[str]:
    """Return what an argument could have meant: runs and suites by name, and the files beside the path it gives."""
    names = []
    if runs_dir.is_dir():
        for one in sorted(runs_dir.iterdir()):
            members = [] if one.name.startswith(".") else _members(one)
            if members or _is_run(one):
                names.append(one.name)
            names += [f"{one.name}/{member.name}" for member in members]
    if path.parent.is_dir() and path.parent != Path():
        names += [str(one) for one in path.parent.iterdir() if not one.name.startswith(".")]
    elif path.suffix:
        names += [one.name for one in Path().iterdir() if one.is_file()]
    return names
