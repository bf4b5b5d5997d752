"""What artifact keys hold of a student's options: content, never paths."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from distilkit.errors import UserError
from distilkit.models import student_options
from distilkit.models.tk import TkOptions
from distilkit.pipeline.models import Start, StoredModel
from distilkit.pipeline.tokens import FolderTokenizer
from distilkit.settings import StudentSettings


def identity(tmp_path: Path, embeddings: object) -> str:
    settings = StudentSettings(architecture="tk", options={"embeddings": str(embeddings), "dim": 4})
    source = StoredModel(tmp_path, "of the source", FolderTokenizer(tmp_path), "source")
    return json.dumps(Start(source, settings, None).identity(), sort_keys=True)


def test_a_file_of_embeddings_is_told_by_its_content_and_not_by_its_path(tmp_path: Path) -> None:
    glove = tmp_path / "glove.txt"
    glove.write_text("cat 1 2 3 4\n")
    before = identity(tmp_path, glove)
    assert str(tmp_path) not in before
    (tmp_path / "elsewhere").mkdir()
    moved = Path(shutil.copy(glove, tmp_path / "elsewhere" / "other.txt"))
    assert identity(tmp_path, moved) == before
    moved.write_text("cat 1 2 3 44\n")
    assert identity(tmp_path, moved) != before


@pytest.mark.parametrize(
    ("architecture", "values"),
    [("tk", {}), ("tk", {"embeddings": "source"}), ("tk", {"embeddings": "random"}), ("colbert", {"query_masks": 4})],
)
def test_other_options_are_told_by_their_values(architecture: str, values: dict[str, object]) -> None:
    options = student_options(architecture, values)
    assert options.identity() == {name: value for name, value in asdict(options).items() if name != "offset"}
    assert values.items() <= options.identity().items()


def test_a_missing_file_of_embeddings_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"options\.embeddings = 'nowhere\.txt': there is no such file"):
        TkOptions(embeddings="nowhere.txt").identity()
    with pytest.raises(UserError, match="embeddings is 'source', 'random' or the path of a file, not 3"):
        TkOptions(embeddings=3)  # type: ignore[arg-type]
