"""Runs that differ in their seed only are one system: averaged per query, each seed's values kept."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from distilkit.comparison.arguments import Source
from distilkit.comparison.system import Judged, System
from distilkit.files import content_key
from distilkit.runs.results import PerQuery

_SEED = re.compile(r"-seed\d+(?=$|-label_only$)")
"""What a suite's run has of its seed in its name; the twin's mark follows it."""
_OWN = ("name", "seed", "description")
"""What a resolved recipe has of its own in each of several seeds' runs."""


@dataclass(frozen=True)
class Member:
    """A run of some seed, with what it shares with the other seeds' runs."""

    source: Source
    system: System

    @property
    def key(self) -> str | None:
        """What the runs of one system have in common; None for what stands alone, such as a run renamed with NAME=."""
        if self.source.stored is None or self.source.renamed:
            return None
        record = self.source.stored.record
        shared = {key: value for key, value in record.resolved.items() if key not in _OWN}
        queries = sorted(next(iter(self.system.per_query.values())))
        twin = self.source.kind == "twin" or record.twin_of is not None
        return content_key([twin, shared, queries, record.data.get("fingerprint")])

    @property
    def seed(self) -> int | None:
        """The seed of the run."""
        return self.source.stored.record.seed if self.source.stored is not None else None


def averaged(read: Sequence[tuple[Source, System]]) -> list[System]:
    """Return the systems, the runs of several seeds as one, where the first of them stands."""
    members = [Member(source, system) for source, system in read]
    groups: dict[object, list[Member]] = {}
    for place, member in enumerate(members):
        key = member.key
        group = groups.setdefault(place if key is None else key, [])
        if any(other.seed == member.seed for other in group):
            groups[place] = [member]  # the same seed again is a repeat, which may well be what is asked about
        else:
            group.append(member)
    taken = {system.name for _, system in read}
    return [group[0].system if len(group) == 1 else _mean(group, taken) for group in groups.values()]


def _mean(group: Sequence[Member], taken: set[str]) -> System:
    systems = [member.system for member in group]
    names = [system.name for system in systems]
    bases = {_SEED.sub("", name) for name in names}
    name = bases.pop() if len(bases) == 1 else names[0]
    if name in taken and name not in names:
        name = names[0]
    shares = [system.judged for system in systems if system.judged is not None]
    return replace(
        systems[0],
        name=name,
        per_query=_average([system.per_query for system in systems]),
        missing=frozenset.union(*(system.missing for system in systems)),
        unjudged=max(system.unjudged for system in systems),
        notes=tuple(dict.fromkeys(note for system in systems for note in system.notes)),
        replicates=tuple(system.per_query for system in systems),
        origins=tuple(origin for system in systems for origin in system.origins),
        judged=Judged(shares[0].cutoff, math.fsum(one.share for one in shares) / len(shares)) if shares else None,
        fingerprint="+".join(system.fingerprint for system in systems),
    )


def _average(tables: Sequence[PerQuery]) -> PerQuery:
    return {
        measure: {query: math.fsum(table[measure][query] for table in tables) / len(tables) for query in values}
        for measure, values in tables[0].items()
    }
