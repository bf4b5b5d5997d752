"""What `distilkit run` was asked for."""

from dataclasses import dataclass
from pathlib import Path

from distilkit.errors import UserError
from distilkit.recipe import RecipeSource
from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.names import twin_name
from distilkit.run_folders.record import as_table, read_object_if_any
from distilkit.settings import Recipe
from distilkit.training.precision import AutoPrecision


@dataclass(frozen=True)
class Request:
    """What `distilkit run` was asked for."""

    recipe: Recipe
    source: RecipeSource
    runs_dir: Path
    resume: bool = False

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return RunFolder(self.runs_dir / self.recipe.name)

    @property
    def twin_folder(self) -> RunFolder:
        """The folder of the run's label-only twin."""
        return RunFolder(self.runs_dir / twin_name(self.recipe.name))

    @property
    def artifacts(self) -> Path:
        """The folder of what runs share."""
        return self.runs_dir / ".artifacts"

    def recorded_precision(self) -> AutoPrecision | None:
        """Return what `bf16 = "auto"` came to when this run, or else its suite, was started; None where none was."""
        path = self.folder.path
        for file in (path / "run.json", path / "suite.json", path.parent / "suite.json"):
            try:
                recorded = as_table(read_object_if_any(file).get("precision"))
            except UserError:  # damaged, and made anew
                continue
            if (found := AutoPrecision.read(recorded.get("auto"))) is not None:
                return found
        return None
