"""Files of triples become rows of a collection's tables."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from distilkit.data.arrays import appended, mapped
from distilkit.data.collection import Collection, open_collection, write_collection
from distilkit.data.rows import IdIndex
from distilkit.data.texts import Texts, write_texts
from distilkit.data.triples import Triples, reading, triples_identity, write_triples
from distilkit.errors import UserError
from distilkit.files import atomic_folder

PASSAGES = [("p7", "the red apple"), ("p3", "a river of copper"), ("p9", "ünder the sea"), ("p4", "a river of copper")]
QUERIES = [("20", "what is red"), ("3", "where is copper"), ("11", "what swims")]
IDS = [("20", "p7", "p3"), ("3", "p3", "p9"), ("11", "p9", "p7"), ("20", "p7", "p9")]
ROWS = [[0, 0, 1], [1, 1, 2], [2, 2, 0], [0, 0, 2]]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp("triples") / "collection"
    write_collection(folder, name="small", passages=PASSAGES, queries=QUERIES, qrels={"train": {"20": {"p7": 1}}})
    return open_collection(folder)


def tsv(rows: list[tuple[str, ...]]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def texts(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    known = dict(PASSAGES) | dict(QUERIES)
    return [tuple(known.get(one, one) for one in row) for row in rows]


def read(path: Path, collection: Collection, **settings: str) -> Triples:
    return written(path, collection, path.parent / "out", **settings)


def written(path: Path, collection: Collection, folder: Path, **settings: str) -> Triples:
    with atomic_folder(folder) as temporary:
        write_triples(temporary, path, collection, **settings)  # type: ignore[arg-type]
    return Triples.open(folder)


FORMS = {
    "tsv_ids": tsv(IDS),
    "tsv_texts": tsv(texts(IDS)),
    "jsonl": "".join(json.dumps({"qid": int(q), "pos": p, "neg": n}) + "\n" for q, p, n in IDS),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_gives_the_same_rows(tmp_path: Path, collection: Collection, name: str, packed: bool) -> None:
    path = tmp_path / ("triples.gz" if packed else "triples")
    path.write_bytes(gzip.compress(FORMS[name].encode()) if packed else FORMS[name].encode())
    triples = read(path, collection)
    assert triples.rows.tolist() == ROWS
    assert triples.counts == {"rows": 4, "kept": 4, "unknown": 0, "measured": 0, "contradictory": 0}
    assert triples_identity(path)["file"] == name
    assert isinstance(triples.rows.base, np.memmap)


def test_what_training_reads(tmp_path: Path, collection: Collection) -> None:
    (tmp_path / "ids").write_text(FORMS["tsv_ids"])
    triples = read(tmp_path / "ids", collection)
    assert triples.queries.tolist() == [[0, 0], [1, 1], [2, 2], [0, 0]]
    assert triples.passages.tolist() == [[0, 1], [1, 2], [2, 0], [0, 2]]
    assert triples.labels.tolist() == [[1, 0]] * 4
    assert len(triples) == 4


def test_lists_of_one_query_are_a_triple_for_each_negative(tmp_path: Path, collection: Collection) -> None:
    lines = [["20", "p7", "p3", "p9"], {"query_id": "3", "positive": ["p3", "p4"], "negative": ["p7"]}]
    (tmp_path / "lists").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read(tmp_path / "lists", collection).rows.tolist() == [[0, 0, 1], [0, 0, 2], [1, 1, 0], [1, 3, 0]]


def test_small_blocks_blank_lines_and_other_line_ends(
    tmp_path: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ids"
    path.write_bytes(b"\xef\xbb\xbf" + tsv(IDS).replace("\n", "\r\n").replace("3\tp3", "\n  \n3\tp3").encode()[:-2])
    whole = read(path, collection).rows.tolist()
    assert whole == ROWS
    seen = []
    for size in (4, 9, 17):
        monkeypatch.setattr(reading, "BYTES", size)
        (tmp_path / f"of{size}").mkdir()
        write_triples(tmp_path / f"of{size}", path, collection, progress=lambda done, total: seen.append((done, total)))
        assert Triples.open(tmp_path / f"of{size}").rows.tolist() == ROWS
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)


def test_what_is_not_in_the_collection_is_counted_where_it_may_be(tmp_path: Path, collection: Collection) -> None:
    path = tmp_path / "ids"
    path.write_text(tsv([IDS[0], ("20", "p7", "p8"), ("4", "p7", "p3"), IDS[1]]))
    triples = read(path, collection, on_missing="skip")
    assert triples.rows.tolist() == ROWS[:2]
    assert triples.counts == {"rows": 4, "kept": 2, "unknown": 2, "measured": 0, "contradictory": 0}
    (tmp_path / "texts").write_text(tsv([("what is red", "the red apple", "no such text"), *texts(IDS)]))
    (tmp_path / "second").mkdir()
    assert write_triples(tmp_path / "second", tmp_path / "texts", collection, on_missing="skip")["unknown"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tsv(IDS) + "20\tp7", "5: expected three fields between tabs (query, positive, negative), got 2"),
        (tsv(IDS) + "20\tp7\tp3\tp9\n", "5: expected three fields between tabs (query, positive, negative), got 4"),
        ("\n" + tsv(IDS) + "20\t\tp3\n", "6: the positive is empty; expected an id or a text"),
        ("\n" + tsv(IDS) + "20\tp3\tp33\n", "6: the passage id 'p33' is unknown; expected one of the corpus"),
        (tsv(IDS) + "21\tp3\tp7\n", "5: the query id '21' is unknown; expected one of the queries"),
        (
            tsv(texts(IDS)) + "what is red\tnew\tp7\n",
            "5: the passage's text 'new' is unknown; expected one of the corpus",
        ),
        (tsv(IDS * 5000).encode() + b"20\tp7\tp\xff\n", "20001: not UTF-8 text; expected UTF-8"),
        (
            '["20", "p7", "p3"]\n{"qid": "20", "pos": "p7"}\n',
            "2: there is no id of the negative; expected 'negative_id'",
        ),
        ('["20", "p7", "p3"]\n["20", "p7"]\n', "2: expected an object, or a list of a query, a positive and its"),
        ('["20", "p7", "p3"]\n["20", "p7", null]\n', "2: expected an id or a text, got None"),
        ('["20", "p7", "p3"]\n["20", "p7"', "2: broken JSON"),
    ],
)
def test_bad_content_is_refused_with_file_and_line(
    tmp_path: Path, collection: Collection, content: str | bytes, message: str
) -> None:
    path = tmp_path / "triples"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        read(path, collection)
    assert str(error.value).startswith(f"{path}:{message}")
    assert [one.name for one in tmp_path.iterdir()] == ["triples"]


def test_files_that_hold_nothing_are_refused(tmp_path: Path, collection: Collection) -> None:
    with pytest.raises(UserError, match="there is no such file; expected triples"):
        read(tmp_path / "nowhere", collection)
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UserError, match="the file is empty; expected triples"):
        triples_identity(tmp_path / "empty")
    (tmp_path / "others").write_text("1\t2\t3\n")
    with pytest.raises(UserError, match="none of its 1 triples can be trained on; 1 of 1 triples have an id"):
        read(tmp_path / "others", collection, on_missing="skip")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(tsv(IDS * 99).encode())[:-9])
    with pytest.raises(UserError, match=r"cut\.gz: cannot be read after"):
        read(tmp_path / "cut.gz", collection)


def test_the_identity_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(tsv(IDS))
    (tmp_path / "two").write_text(tsv(IDS))
    assert triples_identity(tmp_path / "one") == triples_identity(tmp_path / "two")
    (tmp_path / "two").write_text(tsv(IDS[::-1]))
    assert triples_identity(tmp_path / "one") != triples_identity(tmp_path / "two")


@pytest.mark.parametrize(
    "known",
    [["3", "0", "17"], ["3", "0", "1700"], ["3", "00", "17"], ["3", "a", "17"], ["-3", "0", "17"], ["0"]],
    ids=["close", "far", "padded", "words", "negative", "one"],
)
def test_rows_are_found_by_any_id(tmp_path: Path, known: list[str]) -> None:
    write_texts(tmp_path / "t.arrow", ((id, "") for id in known))
    table = Texts.open(tmp_path / "t.arrow")
    for asked in (["17", "3", "0", "3"], ["17", "x", "003"], ["99999", "-1", "2", "00", ""], ["0"]):
        expected = [known.index(id) if id in known else -1 for id in asked]
        assert IdIndex(table).find(pa.array(asked, pa.string())).tolist() == expected


@pytest.mark.parametrize("row", [(), (3,)])
def test_an_array_grows_as_it_is_written(tmp_path: Path, row: tuple[int, ...]) -> None:
    parts = [np.arange(size * max(1, *row, 1)).reshape(size, *row) for size in (3, 0, 5000)]
    with appended(tmp_path / "a.npy", np.uint32, row) as array:
        for part in parts:
            array.append(part)
    assert array.count == 5003
    found = mapped(tmp_path / "a.npy")
    assert found.dtype == np.uint32
    assert np.array_equal(found, np.concatenate(parts))


def test_an_array_may_have_no_row(tmp_path: Path) -> None:
    with appended(tmp_path / "a.npy", np.int64):
        pass
    assert mapped(tmp_path / "a.npy").shape == (0,)


def test_real_triples_by_text(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    """MS MARCO's own layout, with its damaged characters."""
    path = real_data("msmarco-triples-sample") / "triples.tsv"
    rows = [line.split("\t") for line in path.read_bytes().decode().split("\n") if line]
    queries, passages = sorted({row[0] for row in rows}), sorted({text for row in rows for text in row[1:]})
    write_collection(
        tmp_path / "collection",
        name="sample",
        passages=((str(number), text) for number, text in enumerate(passages)),
        queries=((str(number), text) for number, text in enumerate(queries)),
        qrels={"train": {"0": {"0": 1}}},
    )
    collection = open_collection(tmp_path / "collection")
    triples = written(path, collection, tmp_path / "out")
    found = [[collection.queries.text(query), *collection.passages.texts(pair)] for query, *pair in triples.rows]
    assert found == rows
    assert len(triples) == 100
