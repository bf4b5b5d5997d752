"""Whether the systems of one table were judged by the same judgements and re-ranked the same candidates."""

from collections.abc import Mapping, Sequence
from typing import NoReturn

from distilkit.comparison.systems import System
from distilkit.errors import UserError
from distilkit.evaluation.trec import Qrels, read_qrels
from distilkit.files import sha256_file


def refuse_other_judgements(systems: Sequence[System], queries: Sequence[str]) -> None:
    """Refuse systems that were judged differently on the queries compared; raises UserError with the first of them.

    What a system was judged by is known by its content. Where that differs as a whole, as of subsets of the queries,
    the judgements of these queries decide.
    """
    judged = [system for system in systems if system.judgements]
    for system in judged[1:]:
        if system.judgements == judged[0].judgements:
            continue
        first, other = _own(judged[0]), _own(system)
        if first is None or other is None:
            _refuse(judged[0], system, "")
        query = next((query for query in queries if first.get(query) != other.get(query)), None)
        if query is not None:
            _refuse(judged[0], system, f" (query {query!r}, for one)")


def notes_on_candidates(systems: Sequence[System], short: Mapping[str, str]) -> list[str]:
    """Return what is to be said of systems, under their short names, that re-ranked other candidates or texts."""
    groups: dict[str, list[str]] = {}
    for system in systems:
        if system.candidates:
            groups.setdefault(system.candidates, []).append(short[system.name])
    if len(groups) < 2:
        return []
    listed = "; ".join(", ".join(names) for names in groups.values())
    return [f"These systems re-ranked different candidates or texts, which explains a part of differences: {listed}."]


def _own(system: System) -> Qrels | None:
    """Return the judgements that a system was measured with, None where their file is gone or has changed since."""
    path = system.origins[0].qrels if system.origins else None
    if path is None or not path.is_file() or sha256_file(path) != system.judgements:
        return None
    return read_qrels(path)


def _refuse(first: System, other: System, where: str) -> NoReturn:
    raise UserError(
        f"{first.name!r} and {other.name!r} were measured with different judgements{where}; judge all with one "
        "--qrels FILE"
    )
