"""The configurations of several runs side by side."""

from collections.abc import Sequence

from distilkit_tui.core.entry import Entry, flat
from distilkit_tui.core.fields import shown

ABSENT = "–"
# What every run has of its own, which says nothing.
OWN = ("name", "description")


def side_by_side(entries: Sequence[Entry], only_changed: bool) -> dict[str, list[str]]:
    """Return each key's value in every run; of one run, or where asked, all keys, else those that differ."""
    tables = [_settings(entry) for entry in entries]
    keys = list(dict.fromkeys(key for table in tables for key in table if key not in OWN))
    rows = {key: [table.get(key, ABSENT) for table in tables] for key in keys}
    return {key: row for key, row in rows.items() if not only_changed or len(entries) < 2 or len(set(row)) > 1}


def _settings(entry: Entry) -> dict[str, str]:
    found = {key: shown(value) for key, value in entry.settings.items()}
    for section in ("data", "versions", "host"):
        table = entry.record.get(section)
        if isinstance(table, dict):
            found |= {f"{section}: {key}": shown(value) for key, value in flat(table).items()}
    return found
