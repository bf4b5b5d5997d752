"""Collections of ir_datasets, read through the library from data sets that are registered here."""

import uuid
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distilkit.data.collection import Collection, open_collection
from distilkit.data.sources import IrDatasetsSource
from distilkit.data.sources import ir_datasets as source
from distilkit.errors import UserError
from distilkit.pipeline.data import make_source
from distilkit.settings import DataSettings

ir_datasets = pytest.importorskip("ir_datasets")

DOCUMENTS = "d1\tthe first\nd2\tthe second\nd3\tthe third\n"
QUERIES = {"train": "q1\tone\nq2\ttwo\n", "dev/small": "q3\tthree\n", "test": "q4\tfour\nq1\tone\n"}
QRELS = {"train": "q1 0 d1 1\nq2 0 d2 1\n", "dev/small": "q3 0 d3 2\n", "test": "q4 0 d1 1\nq4 0 d3 0\n"}
SCORED = {"test": "q4 Q0 d3 1 2.5 x\nq4 Q0 d1 2 1.5 x\n"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IR_DATASETS_TMP", str(tmp_path / "tmp"))


class Registered:
    """A collection with its splits, registered under an id of its own from files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.id, self.folder = f"tiny-{uuid.uuid4().hex[:8]}", folder
        folder.mkdir()
        self.documents = ir_datasets.formats.TsvDocs(self.file("docs.tsv", DOCUMENTS), namespace=self.id)
        self.register("", self.documents)
        for split in QRELS:
            self.split(split, QUERIES[split], QRELS[split], SCORED.get(split))

    def file(self, name: str, text: str) -> Any:
        path = self.folder / name.replace("/", "-")
        path.write_text(text)
        return ir_datasets.util.LocalDownload(path)

    def split(self, name: str, queries: str, qrels: str, scored: str | None = None, documents: Any = None) -> str:
        parts = [
            documents or self.documents,
            ir_datasets.formats.TsvQueries(self.file(f"{name}.queries", queries)),
            ir_datasets.formats.TrecQrels(self.file(f"{name}.qrels", qrels), {}),
        ]
        if scored is not None:
            parts.append(ir_datasets.formats.TrecScoredDocs(self.file(f"{name}.scored", scored)))
        return self.register(f"/{name}", *parts)

    def register(self, name: str, *parts: Any) -> str:
        ir_datasets.registry.register(f"{self.id}{name}", ir_datasets.Dataset(*parts))
        return f"{self.id}{name}"


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Registered]:
    before = set(ir_datasets.registry)
    yield Registered(tmp_path / "files")
    for added in set(ir_datasets.registry) - before:
        del ir_datasets.registry._registered[added]


def load(tmp_path: Path, **settings: Any) -> Collection:
    target = tmp_path / uuid.uuid4().hex
    IrDatasetsSource(**settings).write(target)
    return open_collection(target)


def test_splits_are_found_by_name(tiny: Registered, tmp_path: Path) -> None:
    collection = load(tmp_path, dataset=tiny.id)
    assert collection.name == tiny.id
    assert collection.passages.texts(range(3)) == ["the first", "the second", "the third"]
    assert collection.queries.ids(range(4)) == ["q1", "q2", "q3", "q4"]  # q1, which train and test share, once
    assert collection.splits == ("train", "dev", "test")
    assert collection.qrels("train") == {"q1": {"d1": 1}, "q2": {"d2": 1}}
    assert collection.qrels("dev") == {"q3": {"d3": 2}}
    assert collection.qrels("test") == {"q4": {"d1": 1, "d3": 0}}
    assert collection.candidates("test") is None
    splits = {"train": f"{tiny.id}/train", "dev": f"{tiny.id}/dev/small", "test": f"{tiny.id}/test"}
    assert collection.info["splits"] == splits


def test_the_small_judgements_of_dev_win(tiny: Registered, tmp_path: Path) -> None:
    tiny.split("dev", "q3\tthree\nq9\tnine\n", "q9 0 d1 1\n")
    assert load(tmp_path, dataset=tiny.id).qrels("dev") == {"q3": {"d3": 2}}


def test_splits_are_named_by_full_ids(tiny: Registered, tmp_path: Path) -> None:
    splits = {"train": f"{tiny.id}/train", "dl19": f"{tiny.id}/test"}
    collection = load(tmp_path, splits=splits)
    assert collection.name == tiny.id
    assert collection.splits == ("train", "dl19")
    assert load(tmp_path, dataset=tiny.id, splits=splits).fingerprint == collection.fingerprint


def test_an_id_with_judgements_of_its_own_is_a_split(tiny: Registered, tmp_path: Path) -> None:
    assert load(tmp_path, dataset=f"{tiny.id}/train").splits == ("train",)
    judged = tiny.split("judged", QUERIES["test"], QRELS["test"])
    assert load(tmp_path, dataset=judged).splits == ("test",)


def test_scored_documents_are_candidates_where_they_are_asked_for(tiny: Registered, tmp_path: Path) -> None:
    collection = load(tmp_path, dataset=tiny.id, candidates="scoreddocs")
    assert collection.candidates("test") == {"q4": [("d3", 2.5), ("d1", 1.5)]}
    assert collection.candidate_splits == ("test",)
    with pytest.raises(UserError, match=r"'scoreddocs': none of tiny-\w+/train has any"):
        load(tmp_path, splits={"train": f"{tiny.id}/train"}, candidates="scoreddocs")


def test_titles_are_joined_to_texts(tiny: Registered, tmp_path: Path) -> None:
    class Own(ir_datasets.formats.TsvDocs):  # type: ignore[misc,name-defined]
        def docs_iter(self) -> Any:
            record = namedtuple("record", ["doc_id", "title", "text"])
            yield from (record("d1", "A title", "its text"), record("d2", "", "alone"), record("d3", " ", "third"))

    own = Own(tiny.file("own.tsv", ""))
    id = tiny.split("own", QUERIES["test"], QRELS["test"], documents=own)
    assert load(tmp_path, dataset=id).passages.texts(range(3)) == ["A title its text", "alone", "third"]


def test_the_key_of_what_somebody_registered_is_of_the_content(tiny: Registered, tmp_path: Path) -> None:
    key = IrDatasetsSource(tiny.id).key()
    assert str(tmp_path) not in str(key)
    assert IrDatasetsSource(tiny.id).key() == key
    tiny.file("docs.tsv", DOCUMENTS.replace("third", "3rd"))
    changed = IrDatasetsSource(tiny.id).key()
    assert changed["documents"] != key["documents"]
    assert changed["splits"] == key["splits"]
    tiny.file("test.scored", "q4 Q0 d1 1 9.5 x\n")
    assert IrDatasetsSource(tiny.id).key() == changed  # not read
    tiny.file("train.qrels", "q1 0 d1 1\nq2 0 d3 1\n")
    assert IrDatasetsSource(tiny.id).key()["splits"] != key["splits"]


def test_the_key_of_an_id_of_the_library_needs_no_file() -> None:
    """Nothing is downloaded here: the real registry tells the ids."""
    key = IrDatasetsSource("msmarco-passage").key()
    assert key["documents"] == ["msmarco-passage", "of the library"]
    assert key["splits"] == {
        "train": ["msmarco-passage/train", "of the library"],
        "dev": ["msmarco-passage/dev/small", "of the library"],
    }
    assert list(IrDatasetsSource("beir/scifact").key()["splits"]) == ["train", "test"]  # type: ignore[call-overload]
    dl19 = {"train": "msmarco-passage/train/judged", "dl19": "msmarco-passage/trec-dl-2019/judged"}
    assert IrDatasetsSource(splits=dl19).key()["documents"] == ["msmarco-passage", "of the library"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"dataset": "msmarco-pasage"},
            "ir_datasets has no data set 'msmarco-pasage'; did you mean 'msmarco-passage'?",
        ),
        ({"dataset": "zzzzzzzz"}, "ir_datasets has no data set 'zzzzzzzz'"),
        (
            {"dataset": "cord19"},
            "name them by [data] splits; with judgements there are cord19/fulltext/trec-covid, cord19/trec-covid, ",
        ),
        (
            {"splits": {"test": "msmarco-passage/eval"}},
            "[data] splits: test = 'msmarco-passage/eval' has no qrels; expected an id with judgements",
        ),
        (
            {"splits": {"train": "msmarco-passage/train", "test": "beir/scifact/test"}},
            "test = 'beir/scifact/test' has other documents than 'msmarco-passage/train'; expected the same",
        ),
        ({"dataset": "beir/scifact", "candidates": "splade"}, "[data] candidates = 'splade': source = 'ir_datasets'"),
        ({"splits": {"a/b": "beir/scifact/test"}}, "'a/b' is not a split's name"),
        ({}, "[data] dataset is missing; source = 'ir_datasets' reads an id such as 'beir/scifact', or splits"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        IrDatasetsSource(**settings).key()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("docs.tsv", "d1\tone\nd2\n", "docs, number 1: ir_datasets cannot read on: expected 2 fields, got 1"),
        (
            "docs.tsv",
            "d1\tone\nd1\ttwo\n",
            "passages: the passage id 'd1' has two different texts; expected one (rows 1 and 2)",
        ),
        ("train.qrels", "q1 0 d9 1\n", "/train qrels/train: the passage id 'd9' is unknown"),
        ("train.qrels", "q1 0 d1 1\nq1 0 d1 2\n", "/train qrels, number 2: query 'q1' and passage 'd1' are judged 1"),
        ("test.queries", "q4\tfour\nq1\tanother\n", "queries: the query id 'q1' has two different texts; expected one"),
    ],
)
def test_bad_content_is_refused_with_its_place(
    tiny: Registered, tmp_path: Path, file: str, text: str, message: str
) -> None:
    tiny.file(file, text)
    with pytest.raises(UserError) as error:
        load(tmp_path, dataset=tiny.id)
    assert message in str(error.value)
    assert str(error.value).startswith(tiny.id)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'needs the package ir_datasets: pip install "distilkit\[ir-datasets\]"'):
        IrDatasetsSource("beir/scifact").key()


def test_a_recipe_names_it(tiny: Registered) -> None:
    settings = DataSettings(source="ir_datasets", splits={"test": f"{tiny.id}/test"}, candidates="scoreddocs")
    source = make_source(settings)
    assert isinstance(source, IrDatasetsSource)
    assert list(source.key()["splits"]) == ["test"]  # type: ignore[call-overload]
    with pytest.raises(UserError, match=r"\[data\] path = 'x': source = 'ir_datasets' reads no folder"):
        make_source(DataSettings(source="ir_datasets", dataset="beir/scifact", path="x"))
    with pytest.raises(UserError, match=r"\[data\] dataset = 'x': source = 'beir' reads no data set by its name"):
        make_source(DataSettings(source="beir", path="y", dataset="x"))
