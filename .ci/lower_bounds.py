"""Print the oldest versions that pyproject.toml allows as constraints of pip: NAME==VERSION, one a line."""

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def lower_bounds(extras: list[str]) -> list[str]:
    """Return the lower bounds of the dependencies and of some extras; raises ValueError for one that has none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]
    found = []
    for requirement in map(Requirement, wanted):
        lowest = [one.version for one in requirement.specifier if one.operator in (">=", "==", "~=")]
        if not lowest:
            raise ValueError(f"{requirement} has no lower bound")
        found.append(f"{requirement.name}=={lowest[0]}")
    return found


if __name__ == "__main__":
    print("\n".join(lower_bounds(sys.argv[1:])))
