"""What a user has chosen of the interface's look, kept in the user's configuration folder."""

from dataclasses import asdict, dataclass
from pathlib import Path

from platformdirs import user_config_path

from distilkit.files import read_object_or_empty, write_json
from distilkit.run_folders.record import text


@dataclass(frozen=True)
class Preferences:
    """The theme, and of the table of runs the order and the columns that are left out; empty: as it comes."""

    theme: str = ""
    order: str = "started"
    reverse: bool = False
    hidden: tuple[str, ...] = ()


def place() -> Path:
    """Return the file that preferences are kept in."""
    return user_config_path("distilkit") / "tui.json"


def read(path: Path) -> Preferences:
    """Return what is kept in a file; where it cannot be read, or says something else, everything is as it comes."""
    found = read_object_or_empty(path)
    hidden = found.get("hidden")
    return Preferences(
        text(found.get("theme")),
        text(found.get("order")) or Preferences.order,
        found.get("reverse") is True,
        tuple(map(str, hidden)) if isinstance(hidden, list) else (),
    )


def write(path: Path, preferences: Preferences) -> None:
    """Keep preferences in a file; raises OSError where it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(preferences), durable=False)
