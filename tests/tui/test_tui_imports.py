"""What is imported when: the command line without textual, the core without a screen."""

import subprocess
import sys

from distilkit_tui.keys import KEYS, bindings


def imported(statement: str) -> set[str]:
    """Return the modules that a statement brings into a new process."""
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_command_line_does_without_textual_and_the_application_without_torch() -> None:
    assert "textual" not in imported("import distilkit.cli, distilkit_tui")
    core = imported("from distilkit_tui.core import control, facts, filters, progress, store, tail")
    assert not {"textual", "torch", "scipy", "transformers"} & core
    assert not {"torch", "scipy", "transformers"} & imported("from distilkit_tui.screens import run, runs")


def test_every_key_of_the_table_does_something() -> None:
    from distilkit_tui.app import DistilkitApp
    from distilkit_tui.screens.run import RunScreen
    from distilkit_tui.screens.runs import RunsScreen

    for place, owner in {"app": DistilkitApp, "runs": RunsScreen, "run": RunScreen}.items():
        for binding in bindings(place):
            action = binding.action.partition("(")[0]
            assert callable(getattr(owner, f"action_{action}", None)), f"{place}: {binding.key} -> {action}"
        keys = [key for row in KEYS[place][1] for key in row.keys.split(",")]
        assert len(keys) == len(set(keys))
