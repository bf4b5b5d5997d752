"""Print what an installed package requires, but for its extras and some packages, one a line, as pip reads it."""

import argparse
from importlib.metadata import requires

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name


def requirements(package: str, without: list[str]) -> list[str]:
    """Return the requirements of a package that hold here."""
    left_out = {canonicalize_name(name) for name in without}
    found = [Requirement(line) for line in requires(package) or []]
    return [
        str(one)
        for one in found
        if canonicalize_name(one.name) not in left_out and (one.marker is None or one.marker.evaluate({"extra": ""}))
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package")
    parser.add_argument("--without", nargs="*", default=[], help="names of packages that are left out")
    asked = parser.parse_args()
    print("\n".join(requirements(asked.package, asked.without)))
