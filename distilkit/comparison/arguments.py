"""The SYSTEM arguments of `distilkit compare`: run folders, names of runs and suites, TREC run files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distilkit.errors import UserError, nearest
from distilkit.manifest import refuse_damage
from distilkit.run_folders.listing import a_model, find_run, nearest_run
from distilkit.run_folders.names import twin_name
from distilkit.run_folders.read import StoredRun, is_run, suite_members
from distilkit.run_folders.results import StoredResults

REFERENCES = ("bm25", "teacher")


@dataclass(frozen=True)
class StoredSystem:
    """Where one system's results lie.

    `path` is a TREC run file (kind "file"), else the folder that `results` reads; `run` is the name of the run that
    brought it, `stored` the run or twin itself; `renamed` tells whether `NAME=` named it.
    """

    name: str
    kind: str
    path: Path
    results: StoredResults | None = None
    run: str = ""
    notes: tuple[str, ...] = ()
    stored: StoredRun | None = None
    renamed: bool = False


def expand(arguments: Sequence[str], runs_dir: Path, eval_set: str) -> list[StoredSystem]:
    """Return the sources that arguments stand for, in order.

    Raises UserError for an argument that is neither run folder, run, suite nor file, and for a run without results.
    """
    found = [source for argument in arguments for source in _expand(argument, runs_dir, eval_set)]
    explicit = {source.path.resolve(): source.name for source in found if source.kind == "run"}
    kept: list[StoredSystem] = []
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
        sets = [set(member.evaluated_sets()) for member in ([StoredRun(path)] if is_run(path) else suite_members(path))]
        found += [one for one in sets if one] or [set()]
    return sorted(set.intersection(*found) if found else set(), key=lambda name: (name != "test", name))


def _expand(argument: str, runs_dir: Path, eval_set: str) -> Iterator[StoredSystem]:
    name, path = _located(argument, runs_dir)
    if path.is_file():
        yield StoredSystem(name or file_name(path), "file", path)
    elif is_run(path):
        yield from _run(StoredRun(path), name, eval_set)
    else:
        yield from _suite(path, name, eval_set)


def _located(argument: str, runs_dir: Path) -> tuple[str | None, Path]:
    """Return the name that `NAME=` gives, if any, and the file, run folder or suite folder meant."""
    name, sign, rest = argument.partition("=")
    for given, text in ((None, argument), (name, rest)) if sign and name and rest else ((None, argument),):
        for path in (Path(text), runs_dir / text):
            if text and (path.is_file() or is_run(path) or suite_members(path)):
                return given, path
        if run := find_run(text, runs_dir):
            return given, run.path
    hint = _nearest(rest if sign else argument, runs_dir)
    raise UserError(f"{argument!r} is neither a run folder, a run or suite below {runs_dir}, nor a TREC run file{hint}")


def file_name(path: Path) -> str:
    """Return a run file's name: its base name without `.gz` and then without one of `.trec .run .txt`."""
    name = path.name.removesuffix(".gz")
    for suffix in (".trec", ".run", ".txt"):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _run(run: StoredRun, name: str | None, eval_set: str) -> Iterator[StoredSystem]:
    """Yield a run's first stage, teacher, label-only twin and student."""
    record, own = run.record, run.record.name or run.path.name
    renamed, name = name not in (None, own), name or own
    results = _evaluated(run, eval_set)
    for part in (results, *results.references().values()):
        refuse_damage(part.path)
    references = {name: found for name, found in results.references().items() if found.exist()}
    _refuse_mixed(run, {name: references.get(name, results) for name in (own, *references)})
    for reference in REFERENCES:
        if reference in references:
            yield StoredSystem(reference, reference, references[reference].path, references[reference], name)
    notes: tuple[str, ...] = ()
    if record.twin:
        twin = run.twin()
        found = twin.results(eval_set) if twin is not None else None
        if found is not None and found.exist():
            refuse_damage(found.path)
            label = record.twin if name == own else twin_name(name)
            yield StoredSystem(label, "twin", found.path, found, name, (), twin, renamed)
        else:
            notes = (
                f"{record.twin}, the label-only twin of {name}, has no results for the set {eval_set} and is left out",
            )
    yield StoredSystem(name, "run", results.path, results, name, notes, run, renamed)


def _refuse_mixed(run: StoredRun, results: dict[str, StoredResults]) -> None:
    """Refuse a run whose folder holds results that were not made of the same content, as far as they say it."""
    contents = {name: found.made_of().get("content") for name, found in results.items()}
    if len({content for content in contents.values() if content is not None}) > 1:
        raise UserError(
            f"{run.path}: the results of {', '.join(contents)} were made of different data, judgements or models; "
            "run the recipe again under another --name"
        )


def _suite(folder: Path, name: str | None, eval_set: str) -> Iterator[StoredSystem]:
    if name is not None:
        raise UserError(f"{folder} is a suite of several runs, which cannot share the one name {name!r}")
    members = suite_members(folder)
    evaluated = [member for member in members if member.results(eval_set).exist()]
    if not evaluated:
        raise UserError(f"{folder}: no run of this suite has results for the set {eval_set!r} yet")
    for place, member in enumerate(evaluated):
        for source in _run(member, None, eval_set):
            if place == 0 and source.kind == "run" and len(evaluated) < len(members):
                count = len(members) - len(evaluated)
                note = f"{count} of the {len(members)} runs of {folder.name} have no results for the set {eval_set} yet"
                source = replace(source, notes=(*source.notes, note))
            yield source


def _evaluated(run: StoredRun, eval_set: str) -> StoredResults:
    results = run.results(eval_set)
    if not results.exist():
        sets = run.evaluated_sets()
        hint = nearest(eval_set, sets) if sets else "; the run has not been evaluated yet"
        raise UserError(f"{run.path}: no results for the set {eval_set!r}{hint}")
    return results


def _nearest(text: str, runs_dir: Path) -> str:
    """Return a clause with the nearest right name: of runs and suites, and of files beside the path given."""
    path, files = Path(text), []
    if path.parent.is_dir() and path.parent != Path():
        files = [str(one) for one in path.parent.iterdir() if not one.name.startswith(".") and one != path]
    elif path.suffix:
        files = [one.name for one in Path().iterdir() if one.is_file()]
    hint = nearest(text, files)
    if hint.startswith("; did"):
        return hint
    return a_model(text) or nearest_run(text, runs_dir, few=9)
