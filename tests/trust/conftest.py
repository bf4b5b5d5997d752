"""What the tests of strangers' folders share: a folder whose every file leaves a mark when it is run."""

from pathlib import Path

import pytest
from strangers import Strange


@pytest.fixture
def strange(tmp_path: Path, tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch) -> Strange:
    """Return a stranger's folder, the working folder now: a recipe with a plug-in, modules named as ours."""
    found = Strange(tmp_path / "strange", tmp_path / "ran")
    found.folder.mkdir()
    (found.folder / "evil.py").write_text(found.code)
    (found.folder / "evil.toml").write_text(f'extends = "{tiny_recipe}"\nname = "evil"\nplugins = ["evil.py"]\n')
    for module in ("torch", "typer", "transformers", "tomllib", "textual"):
        (found.folder / f"{module}.py").write_text(f"{found.code}raise ImportError('not the real one')\n")
    monkeypatch.chdir(found.folder)
    return found
