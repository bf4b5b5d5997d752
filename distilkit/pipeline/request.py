"""What `distilkit run` was asked for."""

from dataclasses import dataclass
from pathlib import Path

from distilkit.recipe import Source
from distilkit.runs.folder import RunFolder
from distilkit.settings import Recipe


@dataclass(frozen=True)
class Request:
    """What `distilkit run` was asked for."""

    recipe: Recipe
    source: Source
    runs_dir: Path
    resume: bool = False

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return RunFolder(self.runs_dir / self.recipe.name)

    @property
    def artifacts(self) -> Path:
        """The folder of what runs share."""
        return self.runs_dir / ".artifacts"
