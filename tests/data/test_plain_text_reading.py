"""Documents of plain text from every source, their identity, and what is said of broken ones."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distilkit.data.plain_text import read_texts, text_identity
from distilkit.data.texts import Texts, write_texts
from distilkit.errors import UserError

PARAGRAPHS = "\n\none two\nthree \n \n\n  four\n\nfive\nsix"
DOCUMENTS = ["one two three", "four", "five six"]


def jsonl(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_blank_lines_set_documents_apart(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(PARAGRAPHS)
    for name in ("a.txt.gz", "a.gz"):
        (tmp_path / name).write_bytes(gzip.compress(PARAGRAPHS.encode()))
    for name in ("a.txt", "a.txt.gz", "a.gz"):
        assert list(read_texts(str(tmp_path / name))) == DOCUMENTS


@pytest.mark.parametrize("text", ["one\ntwo three\n", "\n\none\ntwo three\n\n \n"])
def test_without_blank_lines_between_every_line_is_a_document(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert list(read_texts(str(tmp_path / "a.txt"))) == ["one", "two three"]


def test_json_lines_and_parquet_have_a_column(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "one", "body": "1"}, {"text": " "}, {"text": "two\nlines"})
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(Path(path).read_bytes()))
    assert list(read_texts(path)) == list(read_texts(str(tmp_path / "b.jsonl.gz"))) == ["one", "two\nlines"]
    assert list(read_texts(jsonl(tmp_path / "c.jsonl", {"body": "1"}), column="body")) == ["1"]
    texts = [f"text {number}" for number in range(2500)]
    pq.write_table(pa.table({"n": range(2500), "body": texts}), tmp_path / "d.parquet")
    assert list(read_texts(str(tmp_path / "d.parquet"), column="body")) == texts


def test_a_folder_is_its_files_by_name(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("second")
    jsonl(tmp_path / "a.jsonl", {"text": "first"})
    pq.write_table(pa.table({"text": ["third"]}), tmp_path / "c.parquet")
    for name in ("README.md", ".hidden.txt", "b.txt.part"):
        (tmp_path / name).write_text("no text")
    (tmp_path / "sub.txt").mkdir()
    assert list(read_texts(str(tmp_path))) == ["first", "second", "third"]


def test_the_collections_passages(tmp_path: Path) -> None:
    write_texts(tmp_path / "t.arrow", [("a", "one"), ("b", ""), ("c", "two")])
    assert list(read_texts("collection", collection=Texts.open(tmp_path / "t.arrow"))) == ["one", "two"]
    with pytest.raises(ValueError, match="needs the collection's passages"):
        read_texts("collection")


def test_a_data_set_is_streamed(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    jsonl(folder / "train.jsonl", {"text": "one", "n": 1}, {"text": "two", "n": 2})
    jsonl(folder / "test.jsonl", {"text": "three", "n": 3})
    source = f"huggingface:{folder}"
    assert list(read_texts(source)) == ["one", "two"]
    assert list(read_texts(source, split="test")) == ["three"]
    assert list(read_texts(f"{source}:default")) == ["one", "two"]
    with pytest.raises(UserError, match="no split 'trian'; did you mean 'train'"):
        read_texts(source, split="trian")
    with pytest.raises(UserError, match="row 1: there is no column 'texts'; did you mean 'text'"):
        list(read_texts(source, column="texts"))
    with pytest.raises(UserError, match="row 1: expected 'n' to hold a text, got int"):
        list(read_texts(source, column="n"))
    with pytest.raises(UserError, match=r"set:other: the data set cannot be loaded: .*other"):
        read_texts(f"{source}:other")
    # The same content elsewhere has the same identity.
    same = shutil.copytree(folder, tmp_path / "moved")
    assert text_identity(source) == text_identity(f"huggingface:{same}")
    known = [text_identity(source), text_identity(source, split="test"), text_identity(source, column="n")]
    jsonl(folder / "train.jsonl", {"text": "one", "n": 1}, {"text": "more", "n": 2})
    known.append(text_identity(source))
    assert len({json.dumps(identity) for identity in known}) == 4
    assert str(tmp_path) not in json.dumps(known)


def test_a_broken_data_set_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "one"}\n{"text": ')
    with pytest.raises(UserError, match="cannot be"):
        list(read_texts(f"huggingface:{tmp_path}"))
    with pytest.raises(UserError, match="names no data set"):
        read_texts("huggingface:")
    with pytest.raises(UserError, match="nobody/nothing: the data set cannot be loaded"):
        read_texts("huggingface:nobody/nothing")


def test_identity_is_of_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "a.txt").write_text("text")
    assert text_identity(str(one)) == text_identity(str(two)) == text_identity(str(one / "a.txt"))
    assert text_identity(str(one), column="other", split="other") == text_identity(str(one))
    (two / "b.txt").write_text("more")
    assert text_identity(str(one)) != text_identity(str(two))
    # The same bytes read in another way are another text.
    (two / "a.txt").rename(two / "a.jsonl")
    (two / "b.txt").unlink()
    assert text_identity(str(one)) != text_identity(str(two))
    assert text_identity(str(two)) != text_identity(str(two), column="other")
    assert text_identity("collection", fingerprint="abc") == {"collection": "abc"}
    with pytest.raises(ValueError, match="needs the fingerprint"):
        text_identity("collection")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", b'{"text": "one"}\n\n{"text": \n', r"a\.jsonl:3: broken JSON"),
        ("a.jsonl", b'{"text": "one"}\n[1]\n', r"a\.jsonl:2: expected a JSON object with 'text', got list"),
        ("a.jsonl", b'{"txet": "one"}\n', r"a\.jsonl:1: the field 'text' is missing; did you mean 'txet'"),
        ("a.jsonl", b'{"text": null}\n', r"a\.jsonl:1: expected 'text' to hold a text, got nothing"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', r"a\.jsonl:1: broken JSON \(not valid Unicode \(half of a surrogate"),
        ("a.txt", b"one\n\xff\xfe\n", r"a\.txt: not UTF-8 text, near line"),
        ("a.gz", b"no gzip", r"a\.gz: cannot be read after line 0"),
        ("a.txt", b" \n\n", r"a\.txt holds no text"),
        ("a.parquet", b"no parquet", r"a\.parquet: cannot be read after row 0"),
        ("a.csv", b"text\n", r"a\.csv is not a text file by its name; expected one that ends in \.txt"),
        ("a.json.gz", b"", r"a\.json\.gz is not a text file by its name"),
    ],
)
def test_broken_files_name_the_line(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=problem):
        list(read_texts(str(tmp_path / name)))


def test_broken_columns_of_parquet_name_the_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["one", None], "number": [1, 2]}), path)
    for column, problem in {
        "text": r"a\.parquet, row 2: expected 'text' to hold a text, got nothing",
        "number": r"a\.parquet, row 1: expected 'number' to hold a text, got int",
        "txt": r"a\.parquet: there is no column 'txt'; did you mean 'text'",
    }.items():
        with pytest.raises(UserError, match=problem):
            list(read_texts(str(path), column=column))


def test_a_source_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    for function in (read_texts, text_identity):
        with pytest.raises(
            UserError, match=r"there is no text at .*missing'; expected 'collection', 'installed_docs', a file"
        ):
            function(str(tmp_path / "missing"))
        with pytest.raises(UserError, match="has no text in it"):
            function(str(tmp_path))


def test_real_texts_are_a_document_a_line(real_data: Callable[[str], Path]) -> None:
    # The counts that its SOURCE.md states.
    source = real_data("lm-text")
    for name, count in {"genesis.txt": 7329, "inaugural.txt": 1509, "wikipedia-boolq.txt": 2939}.items():
        assert sum(1 for _ in read_texts(str(source / name))) == count
