"""A folder that came from somebody else."""

from pathlib import Path

MARK = "import pathlib\npathlib.Path({!r}).touch()\n"


class Strange:
    """A folder that came from somebody else, and what its files leave where they are run."""

    def __init__(self, folder: Path, mark: Path) -> None:
        self.folder, self.mark = folder, mark
        self.code = MARK.format(str(mark))

    @property
    def ran(self) -> bool:
        """Whether any of its code was run."""
        return self.mark.exists()
