"""`distilkit clean`: what runs share on disk, and removing what none of them needs. Needs no torch."""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from distilkit import option_values, options
from distilkit.commands.output import agrees, asks
from distilkit.run_folders.artifacts import Inventory, Leftover, StoredArtifact, age, remove, take_inventory
from distilkit.run_folders.disk import freed
from distilkit.tables import plain, size, table

SHOWN = 20
"""The most rows of things to remove that are printed; --json has them all."""


def clean(asked: options.Clean) -> str:
    """Return what there is and what was removed, which is nothing before that is agreed to."""
    option_values.require_runs_dir(asked.runs_dir)
    found = take_inventory(asked.runs_dir, asked.finished)
    agreed = asked.yes or (bool(found.removable) and not asked.json_ and agrees(_to_text(found), "remove it?"))
    removed = set(remove(asked.runs_dir, found.removable, asked.finished)) if agreed else set()
    gone = [one for one in found.removable if one.path in removed]
    if asked.json_:
        return json.dumps(_to_json(found, gone, asked), indent=2)
    if not agreed:
        ending = "nothing was removed; remove it with --yes" if found.removable else "there is nothing to remove"
        return f"{_to_text(found)}\n{ending}" if asked.yes or not asks() else ending
    used = len(found.removable) - len(gone)
    kept = f"; {used} kept, which a live process uses" if used else ""
    said = f"removed {_count(gone)}, {size(freed(one.taken for one in gone))} freed{kept}"
    return f"{_to_text(found)}\n{said}" if asked.yes else said


def _to_text(found: Inventory) -> str:
    """Return the kinds of artifacts with their sizes, ages and runs, and a row for each thing that can be removed."""
    lines = []
    kinds = [(kind, list(some)) for kind, some in groupby(found.artifacts, key=lambda one: one.kind)]
    rows = [[kind, str(len(some)), _size(some), _ages(some), _runs(some)] for kind, some in kinds]
    lines.append(table(["kind", "number", "size", "age", "needed by"], rows) if rows else "no artifacts")
    if found.unstated:
        runs = ", ".join(map(plain, found.unstated[:3])) + (", …" if len(found.unstated) > 3 else "")
        lines.append(
            f"all artifacts are kept: {len(found.unstated)} runs do not say which they need ({runs}); resume them, or "
            "ignore what finished runs need with --finished"
        )
    if found.removable:
        shown = [_row(one) for one in found.removable[:SHOWN]]
        lines += ["", table(["to remove", "size", "age", "what it is"], shown)]
        more = len(found.removable) - SHOWN
        lines += [f"and {more} more, which --json lists"] if more > 0 else []
        lines.append(f"{_count(found.removable)}: {size(freed(one.taken for one in found.removable))} would be free")
    return "\n".join(lines)


def _row(one: StoredArtifact | Leftover) -> list[str]:
    folder = f"{one.path.parent.name}/{one.path.name}"
    name = folder if len(folder) <= 48 else f"{folder[:47]}…"
    if isinstance(one, StoredArtifact):
        return [name, size(one.taken.size), age(one.built), "needed by no run"]
    return [name, size(one.taken.size), "", "left by a process that was killed"]


def _size(some: Sequence[StoredArtifact]) -> str:
    return size(sum(one.taken.size for one in some))


def _ages(some: Sequence[StoredArtifact]) -> str:
    newest, oldest = age(max(one.built for one in some)), age(min(one.built for one in some))
    return newest if newest == oldest else f"{newest} to {oldest}"


def _runs(some: Sequence[StoredArtifact]) -> str:
    runs = sorted({run for one in some for run in one.runs})
    unneeded = sum(not one.runs for one in some)
    parts = [", ".join(runs) if len(runs) <= 3 else f"{len(runs)} runs"] if runs else []
    parts += [f"{unneeded} by none"] if unneeded else []
    return "; ".join(parts)


def _count(some: Sequence[StoredArtifact | Leftover]) -> str:
    artifacts = sum(isinstance(one, StoredArtifact) for one in some)
    parts = [f"{artifacts} artifacts that no run needs"] if artifacts else []
    parts += [f"{len(some) - artifacts} leftovers"] if len(some) > artifacts else []
    return " and ".join(parts) or "nothing"


def _to_json(found: Inventory, gone: Sequence[StoredArtifact | Leftover], asked: options.Clean) -> dict[str, Any]:
    return {
        "artifacts": [
            {"kind": one.kind, "key": one.path.name, "bytes": one.taken.size, "built": one.built, "runs": one.runs}
            for one in found.artifacts
        ],
        "leftovers": [{"path": str(one.path), "bytes": one.taken.size} for one in found.leftovers],
        "do_not_say_what_they_need": found.unstated,
        "to_remove": [str(one.path) for one in found.removable],
        "bytes_to_free": freed(one.taken for one in found.removable),
        "removed": [str(one.path) for one in gone],
        "bytes_freed": freed(one.taken for one in gone),
        "runs_dir": str(asked.runs_dir),
    }
