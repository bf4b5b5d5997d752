"""Print the oldest versions that pyproject.toml allows as constraints of pip: NAME==VERSION, one a line."""

import argparse
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def lower_bounds(extras: list[str], instead: list[str]) -> list[str]:
    """Return the lower bounds of the dependencies and of some extras; raises ValueError for one that has none.

    `instead` has the requirements that stand in the place of a lower bound.
    """
    others = {Requirement(line).name: line for line in instead}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]
    found = []
    for requirement in map(Requirement, wanted):
        lowest = [one.version for one in requirement.specifier if one.operator in (">=", "==", "~=")]
        if not lowest:
            raise ValueError(f"{requirement} has no lower bound")
        found.append(others.get(requirement.name, f"{requirement.name}=={lowest[0]}"))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extras", nargs="*")
    parser.add_argument("--instead", nargs="*", default=[], help="others for some, such as torch==2.13.0")
    asked = parser.parse_args()
    print("\n".join(lower_bounds(asked.extras, asked.instead)))
