"""What artifact keys hold of a student's options: content, never paths."""

import json
import shutil
from pathlib import Path

import pytest

from distilkit.errors import UserError
from distilkit.models.options import TkOptions, options_identity
from distilkit.runs.jobs import Model, Start
from distilkit.settings import StudentSettings


def identity(tmp_path: Path, embeddings: object) -> str:
    settings = StudentSettings(architecture="tk", options={"embeddings": str(embeddings), "dim": 4})
    source = Model(tmp_path, "of the source", tmp_path)
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


@pytest.mark.parametrize("values", [{}, {"embeddings": "source"}, {"embeddings": "random"}, {"query_masks": 4}])
def test_other_options_are_told_by_their_values(values: dict[str, object]) -> None:
    assert options_identity(values) == values


def test_a_missing_file_of_embeddings_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"options\.embeddings = 'nowhere\.txt': there is no such file"):
        options_identity({"embeddings": "nowhere.txt"})
    with pytest.raises(UserError, match="embeddings is 'source', 'random' or the path of a file, not 3"):
        TkOptions(embeddings=3)  # type: ignore[arg-type]
