"""`Collection` out of every source, its texts as mappings, and its parts as frames."""

import shutil
from pathlib import Path

import pytest

from distilkit import Collection, UserError


@pytest.fixture
def candidates(tiny_beir: Path, tmp_path: Path) -> Path:
    """Return the tiny collection with candidates of its test queries."""
    folder = shutil.copytree(tiny_beir, tmp_path / "beir")
    (folder / "candidates").mkdir()
    for split, query in (("train", "q0"), ("dev", "q20"), ("test", "q26")):
        rows = "".join(f"{query} Q0 d{number} {number} {9 - number}.5 x\n" for number in range(1, 4))
        (folder / f"candidates/first.{split}.trec").write_text(rows)
    return folder


def hub_folder(beir: Path, folder: Path) -> Path:
    for table in ("corpus", "queries"):
        (folder / table).mkdir(parents=True)
        shutil.copy(beir / f"{table}.jsonl", folder / table)
    shutil.copytree(beir / "qrels", folder / "qrels")
    return folder


def test_texts_are_mappings(tiny_beir: Path) -> None:
    found = Collection.from_beir(tiny_beir)
    passages = dict(found.passages)
    assert len(passages) == len(found.passages) == 40
    assert list(passages.items()) == list(found.passages.items())
    assert list(passages.values()) == list(found.passages.values()) == [found.passages[id] for id in passages]
    assert ("d1" in found.passages, "d99" in found.passages, found.queries.get("q99")) == (True, False, None)
    with pytest.raises(KeyError):
        found.queries["q99"]


def test_folders_of_the_hub_and_frames_are_the_same_collection(tiny_beir: Path, tmp_path: Path) -> None:
    beir = Collection.from_beir(str(tiny_beir))
    hub = Collection.from_huggingface(str(hub_folder(tiny_beir, tmp_path / "hub")))
    frames = Collection.from_pandas(*(beir.to_frame(what) for what in ("passages", "queries", "qrels")))
    assert beir.fingerprint == hub.fingerprint == frames.fingerprint


def test_a_collection_is_kept_and_opened_again(tiny_beir: Path, tmp_path: Path) -> None:
    kept = Collection.from_beir(tiny_beir, folder=str(tmp_path / "a/kept"))
    assert Collection.open(tmp_path / "a/kept").fingerprint == kept.fingerprint
    with pytest.raises(UserError, match="is there already"):
        Collection.from_beir(tiny_beir, folder=tmp_path / "a/kept")
    with pytest.raises(UserError, match="is not a collection"):
        Collection.open(tiny_beir)


def test_candidates_come_along(candidates: Path) -> None:
    found = Collection.from_beir(candidates, candidates="first").to_frame("candidates", "test")
    assert found.to_dict("list") == {
        "query-id": ["q26"] * 3,
        "corpus-id": ["d1", "d2", "d3"],
        "score": [8.5, 7.5, 6.5],
        "split": ["test"] * 3,
    }


def test_a_collection_without_candidates_has_an_empty_frame(tiny_beir: Path) -> None:
    found = Collection.from_beir(tiny_beir).to_frame("candidates")
    assert (len(found), list(found.columns)) == (0, ["query-id", "corpus-id", "score", "split"])


def test_ids_of_ir_datasets_and_the_hub_that_there_are_not_are_refused() -> None:
    pytest.importorskip("ir_datasets")
    with pytest.raises(UserError, match="did you mean 'beir/scifact'"):
        Collection.from_ir_datasets("beir/scifcat")
    with pytest.raises(UserError, match="no/such: the data set cannot be loaded"):
        Collection.from_huggingface("no/such")


def test_other_parts_and_splits_are_refused(tiny_beir: Path) -> None:
    found = Collection.from_beir(tiny_beir)
    with pytest.raises(UserError, match="a collection has no 'querys'; did you mean 'queries'"):
        found.to_frame("querys")
    with pytest.raises(UserError, match="has no qrels of split 'tset'; did you mean 'test'"):
        found.to_frame("qrels", "tset")
    with pytest.raises(UserError, match="passages come with queries and qrels"):
        Collection.from_huggingface([])
