"""What pyproject.toml cannot say: recipes/ lies at the top of the checkout, and inside distilkit in the wheel."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["distilkit", "distilkit.*"]), *find_packages("tui"), "distilkit.recipes"],
    package_dir={"distilkit_tui": "tui/distilkit_tui", "distilkit.recipes": "recipes"},
    package_data={
        "distilkit": ["py.typed"],
        "distilkit.recipes": ["**/*.toml"],
        "distilkit.comparison.render": ["templates/*"],
        "distilkit_tui": ["*.tcss"],
    },
)
