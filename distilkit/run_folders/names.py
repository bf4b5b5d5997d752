"""Short names of systems: strategy · student · teacher · seed, without what all of them share."""

import re
from collections.abc import Iterable, Sequence

SEPARATOR = " · "
TWIN = "label-only"
"""What is written behind the name of a run for its label-only twin."""
_REFERENCES = {"bm25": "BM25", "teacher": "teacher"}
_NO_TEACHER = "no teacher"
_TWIN_END = "-label_only"
_MEMBER = re.compile(
    r"(?P<suite>[^/]+)/(?P<strategy>[^-/]+)-(?P<student>[^-/]+)-(?P<teacher>[^-/]+)(?:-seed(?P<seed>\d+))?"
)
_STUDENT = re.compile(r"(?P<architecture>[a-z]+(?:_[a-z]+)*)_(?P<shape>L\d+_H\d+)(?:_(?P<start>.+))?")


def twin_name(name: str) -> str:
    """Return the name of the label-only twin of a run."""
    return name + _TWIN_END


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return a short name for each system, by its full one, no two alike.

    Of the runs of suites it is strategy, student, teacher and seed as the suite's [matrix] says them, and of these what
    not all of them share; a run that stands alone keeps the name that it was given. Where two would be alike, all keep
    their full names.
    """
    full = list(dict.fromkeys(names))
    parts = {name: found for name in full if (found := _parts(name))}
    places = range(len(next(iter(parts.values()), ())))
    # That a strategy of labels alone has no teacher goes without saying, unless names would be alike.
    for unsaid in (_NO_TEACHER, ""):
        differing = [place for place in places if len({one[place] for one in parts.values()} - {unsaid}) > 1]
        short = {name: _short(name, parts.get(name), differing) for name in full}
        if len(set(short.values())) == len(full):
            return short
    return {name: name for name in full}


def fitted(names: Sequence[str], width: int) -> dict[str, str]:
    """Return names in at most `width` characters, no two alike where that can be had: an ellipsis stands for what is
    left out, in the middle, or else where the names differ least.
    """
    for share in (0.4, 0.0, 1.0, 0.2, 0.6, 0.8):
        cut = {name: _cut(name, width, share) for name in names}
        if len(set(cut.values())) == len(set(names)):
            return cut
    return {name: _cut(name, width, 0.4) for name in names}


def _cut(name: str, width: int, share: float) -> str:
    """Return a name in at most `width` characters, a share of which are its first ones, the others its last."""
    if len(name) <= width:
        return name
    head = round(share * (width - 1))
    tail = width - 1 - head
    return f"{name[:head].rstrip()}…{name[len(name) - tail :].lstrip()}" if width > 1 else name[:width]


def _parts(name: str) -> tuple[str, ...]:
    """Return suite, strategy, student's parts, teacher and seed of the name of a suite's run; empty for others."""
    found = _MEMBER.fullmatch(_bare(name))
    if found is None:
        return ()
    student = _STUDENT.fullmatch(found["student"])
    told = student.groups() if student else (found["student"], "", "")
    teacher = _NO_TEACHER if found["teacher"] == "none" else found["teacher"]
    seed = f"seed {found['seed']}" if found["seed"] else ""
    return (found["suite"], _strategy(found["strategy"]), *(one or "" for one in told), teacher, seed)


def _bare(name: str) -> str:
    """Return the name of the run behind that of a twin or of what a run was held against."""
    for kind in _REFERENCES:
        name = name.removeprefix(f"{kind}-") if "/" in name else name
    return name.removesuffix(_TWIN_END)


def _short(name: str, parts: tuple[str, ...] | None, differing: Sequence[int]) -> str:
    if name in _REFERENCES:
        return _REFERENCES[name]
    if not parts:
        run = name.removesuffix(_TWIN_END)
        return name if run == name else f"{run}{SEPARATOR}{TWIN}"
    suite, strategy, *_, teacher, _ = parts
    kind = next((kind for kind in _REFERENCES if name.startswith(f"{kind}-")), "")
    if kind:
        return f"{_REFERENCES[kind]} {teacher if kind == 'teacher' else suite}"
    kept = [parts[place] for place in differing if place > 1 and parts[place]]
    words = [*([suite] if 0 in differing else []), strategy, *kept]
    return SEPARATOR.join([*words, *([TWIN] if name.endswith(_TWIN_END) else [])])


def _strategy(slug: str) -> str:
    """Return a strategy as the matrix has it, from its part of a folder's name: tinybert+hard_label+temperature=2.0."""
    name, *arguments = slug.split("+")
    told: list[str] = []
    for one in arguments:
        if told and "=" not in one and not one.isidentifier():
            told[-1] += f", {one}"  # a further value of a list
        else:
            told.append(one if "=" in one else f"{one}=true")
    return f"{name}({', '.join(told)})" if told else name
