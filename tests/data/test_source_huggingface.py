"""Collections in BEIR's layout on the Hugging Face hub, as folders that are written here."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distilkit.data.collection import Collection, open_collection
from distilkit.data.sources import BeirSource, HuggingFaceSource
from distilkit.errors import UserError
from distilkit.pipeline.data import make_source
from distilkit.settings import DataSettings

CORPUS = [
    {"_id": "d1", "title": "A title", "text": "its text"},
    {"_id": "d2", "title": "", "text": "the second"},
    {"_id": "d3", "title": " ", "text": "the third"},
]
QUERIES = [{"_id": "q1", "text": "one"}, {"_id": "q2", "text": "two"}, {"_id": "q3", "text": "three"}]
QRELS = {"train": [("q1", "d1", 1)], "validation": [("q2", "d2", 1)], "test": [("q3", "d3", 2), ("q3", "d1", 0)]}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def qrels_rows(split: str, grade: type = int) -> list[dict[str, Any]]:
    return [{"query-id": query, "corpus-id": passage, "score": grade(score)} for query, passage, score in QRELS[split]]


def write_card(folder: Path, configs: dict[str, dict[str, str]]) -> None:
    """Write the README that tells `datasets` the configurations, as those of the hub have it."""
    lines = ["---", "configs:"]
    for name, splits in configs.items():
        lines += [f"- config_name: {name}", "  data_files:"]
        lines += [line for split, path in splits.items() for line in (f"  - split: {split}", f"    path: {path}")]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))


@pytest.fixture
def mteb(tmp_path: Path) -> Path:
    """Return a folder as of mteb on the hub: Parquet, judgements in the configuration default, grades as floats."""
    folder = tmp_path / "mteb"
    write_rows(folder / "corpus" / "corpus.parquet", CORPUS)
    write_rows(folder / "queries" / "queries.parquet", QUERIES)
    for split in QRELS:
        write_rows(folder / "qrels" / f"{split}.parquet", qrels_rows(split, float))
    splits = {split: f"qrels/{split}.parquet" for split in QRELS}
    tables = {"corpus": {"corpus": "corpus/*.parquet"}, "queries": {"queries": "queries/*.parquet"}, "default": splits}
    write_card(folder, tables)
    return folder


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """Return a folder as of BeIR on the hub: JSON lines, and the judgements in a folder beside it."""
    folder = tmp_path / "beir"
    write_rows(folder / "corpus.jsonl", CORPUS)
    write_rows(folder / "queries.jsonl", QUERIES)
    write_card(folder, {"corpus": {"corpus": "corpus.jsonl"}, "queries": {"queries": "queries.jsonl"}})
    for split in QRELS:
        write_rows(tmp_path / "beir-qrels" / f"{split}.jsonl", qrels_rows(split))
    write_card(tmp_path / "beir-qrels", {"default": {split: f"{split}.jsonl" for split in QRELS}})
    return folder


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Return a folder without a card: a folder for each table."""
    folder = tmp_path / "plain"
    write_rows(folder / "corpus" / "data.jsonl", CORPUS)
    write_rows(folder / "queries" / "data.jsonl", QUERIES)
    for split in QRELS:
        write_rows(folder / "qrels" / f"{split}.jsonl", qrels_rows(split))
    return folder


def load(folder: Path) -> Collection:
    target = folder.parent / "collection"
    shutil.rmtree(target, ignore_errors=True)
    HuggingFaceSource(path=folder).write(target)
    return open_collection(target)


@pytest.mark.parametrize("layout", ["mteb", "beir", "plain"])
def test_every_layout_gives_the_same_collection(layout: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(layout)
    collection = load(folder)
    assert collection.name == layout
    assert collection.passages.ids(range(3)) == ["d1", "d2", "d3"]
    assert collection.passages.texts(range(3)) == ["A title its text", "the second", "the third"]
    assert collection.queries.ids(range(3)) == ["q1", "q2", "q3"]
    assert collection.splits == ("train", "dev", "test")
    assert collection.qrels("dev") == {"q2": {"d2": 1}}
    assert collection.qrels("test") == {"q3": {"d3": 2, "d1": 0}}


def test_it_is_the_collection_of_the_beir_folder(mteb: Path, tmp_path: Path) -> None:
    folder = tmp_path / "as-beir"
    write_rows(folder / "corpus.jsonl", CORPUS)
    write_rows(folder / "queries.jsonl", QUERIES)
    (folder / "qrels").mkdir()
    for split, rows in QRELS.items():
        text = "".join(f"{query}\t{passage}\t{grade}\n" for query, passage, grade in rows)
        (folder / "qrels" / f"{'dev' if split == 'validation' else split}.tsv").write_text(text)
    BeirSource(folder).write(tmp_path / "other")
    assert open_collection(tmp_path / "other").fingerprint == load(mteb).fingerprint


def test_the_key_is_of_the_content(beir: Path, tmp_path: Path) -> None:
    key = HuggingFaceSource(path=beir).key()
    assert str(tmp_path) not in json.dumps(key)
    shutil.copytree(beir, tmp_path / "moved")
    shutil.copytree(tmp_path / "beir-qrels", tmp_path / "moved-qrels")
    assert HuggingFaceSource(path=tmp_path / "moved").key() == key
    write_rows(tmp_path / "moved-qrels" / "test.jsonl", qrels_rows("test")[:1])
    changed = HuggingFaceSource(path=tmp_path / "moved").key()
    assert changed["qrels"] != key["qrels"]
    assert changed["corpus"] == key["corpus"]


@pytest.mark.parametrize(
    ("file", "rows", "message"),
    [
        (
            "corpus/data.jsonl",
            [{"_id": "d1", "text": "a"}, {"_id": "d1", "text": "b"}],
            "corpus: the passage id 'd1' has two",
        ),
        (
            "corpus/data.jsonl",
            [{"_id": "d1", "text": "a"}, {"_id": "d2", "text": None}],
            "corpus, split train, row 2: ",
        ),
        (
            "corpus/data.jsonl",
            [{"_id": "d1", "txt": "a"}],
            "corpus, split train: there is no column 'text'; did you mean",
        ),
        ("queries/data.jsonl", [{"_id": "q1", "text": "a"}], "qrels: the query id 'q2' is unknown; expected one of"),
        (
            "qrels/test.jsonl",
            [{"query-id": "q1", "corpus-id": "d1", "score": None}],
            "qrels, split test, row 1: expected",
        ),
        (
            "qrels/test.jsonl",
            [{"query-id": "q1", "corpus-id": "d1", "score": grade} for grade in (1, 2)],
            "qrels, split test, row 1 and {folder} qrels, split test, row 2: query 'q1' and passage 'd1' are judged 1",
        ),
    ],
)
def test_bad_content_is_refused_with_its_row(plain: Path, file: str, rows: list[dict[str, Any]], message: str) -> None:
    write_rows(plain / file, rows)
    with pytest.raises(UserError) as error:
        load(plain)
    assert str(error.value).startswith(f"{plain} {message.replace('{folder}', str(plain))}")


def test_broken_files_are_refused(plain: Path) -> None:
    (plain / "corpus" / "data.jsonl").write_text('{"_id": "d1", "te')
    with pytest.raises(UserError, match=r"corpus, split train: cannot be read after row 0"):
        load(plain)


def test_what_is_no_such_layout_is_refused(mteb: Path, beir: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "beir-qrels")
    with pytest.raises(UserError, match=r"beir has no judgements; expected BEIR's layout"):
        HuggingFaceSource(path=beir).key()
    (mteb / "queries").rename(mteb / "texts")
    write_card(mteb, {"corpus": {"corpus": "corpus/*.parquet"}, "texts": {"texts": "texts/*.parquet"}})
    with pytest.raises(UserError, match=r"mteb has the configurations corpus, texts; expected BEIR's layout"):
        HuggingFaceSource(path=mteb).key()
    with pytest.raises(UserError, match=r"there is no folder .*nowhere; expected BEIR's layout"):
        HuggingFaceSource(path=tmp_path / "nowhere").key()


def test_a_hub_that_cannot_be_reached_is_said() -> None:
    with pytest.raises(UserError, match=r"BeIR/scifact: the data set cannot be loaded: "):
        HuggingFaceSource("BeIR/scifact@main").key()


def test_a_recipe_names_it(plain: Path) -> None:
    source = make_source(DataSettings(source="huggingface", dataset="BeIR/scifact@abc"))
    assert isinstance(source, HuggingFaceSource)
    assert (source.name, source.revision) == ("BeIR/scifact", "abc")
    assert isinstance(make_source(DataSettings(source="huggingface", path=str(plain))), HuggingFaceSource)
    with pytest.raises(UserError, match=r"candidates = 'splade': source = 'huggingface' brings none; expected 'bm25'"):
        make_source(DataSettings(source="huggingface", path=str(plain), candidates="splade"))
    with pytest.raises(UserError, match="dataset and path are both missing; source = 'huggingface'"):
        make_source(DataSettings(source="huggingface"))
    with pytest.raises(UserError, match="dataset and path are both given"):
        make_source(DataSettings(source="huggingface", dataset="BeIR/scifact", path=str(plain)))
