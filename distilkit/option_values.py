"""What is read out of the values of options: words, model references, numbers."""

from pathlib import Path

from distilkit.errors import UserError
from distilkit.licences import licence


def split(values: list[str] | None) -> list[str] | None:
    """Return the words of an option's values, None where it was not given."""
    return [word for value in values for word in value.split()] if values else None


def references(values: list[str]) -> list[str]:
    """Return the model references of an option's values: words, or paths, which may hold blanks."""
    return [part for value in values for part in ([value] if Path(value).exists() else value.split())]


def whole_numbers(values: list[str] | None, option: str, such_as: str) -> list[int]:
    """Return the numbers of an option's values; raises UserError for a word that is none."""
    words = split(values) or []
    wrong = next((word for word in words if not word.isdecimal()), None)
    if wrong is not None:
        raise UserError(f"{option} {wrong}: expected whole numbers, such as {such_as}")
    return [int(word) for word in words]


def require_licence(license: str | None) -> None:
    """Raise UserError for a --license that the hub does not know."""
    try:
        if license is not None:
            licence(license)
    except ValueError as error:
        raise UserError(f"--license {license}: {error}") from None


def require_runs_dir(runs_dir: Path) -> None:
    """Raise UserError for a --runs-dir that is a file."""
    if runs_dir.exists() and not runs_dir.is_dir():
        raise UserError(f"--runs-dir {runs_dir}: expected a folder")
