"""Released checkpoints load in their own layouts, and what is wrong with one is named."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from bin_files import FORMS, as_bin
from published_layouts import write_cat, write_colbert, write_dot, write_prettr, write_released_prettr
from safetensors.torch import load_file, save_file
from test_students_golden import CAT, CAT_SCORES, DOCUMENT, QUERY, WITHOUT_CLS

from distilkit.errors import UserError
from distilkit.models.batch import SideBatch, TokenBatch
from distilkit.models.cat import BertCat, load_cat
from distilkit.models.colbert import ColBertOptions
from distilkit.models.dot import DotOptions
from distilkit.models.load import architecture_of, load_encoder, load_ranker, load_tokenizer
from distilkit.models.prettr import PreTtrOptions

JOINED_AT_2 = PreTtrOptions(join_layer=2, document_offset="batch")
BATCH_OFFSET = PreTtrOptions(join_layer=3, document_offset="batch")
PRETTR = [0.2773357318788092, 0.27041281327647737]


@pytest.mark.parametrize("form", ["safetensors", *FORMS])
@pytest.mark.parametrize(
    ("write", "architecture", "batch", "options", "expected"),
    [
        (write_cat, "bert_cat", CAT, None, CAT_SCORES),
        (write_dot, "bert_dot", SideBatch(QUERY, DOCUMENT), None, [5.118721766074044, 5.23019584821441]),
        (write_colbert, "colbert", SideBatch(QUERY, DOCUMENT), None, [9.053157733879267, 12.997607386228307]),
        (write_prettr, "prettr", SideBatch(QUERY, WITHOUT_CLS), JOINED_AT_2, PRETTR),
        (write_released_prettr, "prettr", SideBatch(QUERY, WITHOUT_CLS), JOINED_AT_2, PRETTR),
    ],
)
def test_scores(
    tmp_path: Path,
    write: Callable[[Path], None],
    architecture: str,
    batch: Any,
    options: Any,
    expected: list[float],
    form: str,
) -> None:
    write(tmp_path / "model")
    if form != "safetensors":
        as_bin(tmp_path / "model", form)
    ranker = load_ranker(tmp_path / "model", architecture, options=options, dtype=torch.float64)
    assert not ranker.training
    assert ranker.architecture == architecture
    assert ranker.score(batch).tolist() == pytest.approx(expected, abs=1e-9)
    single = load_ranker(tmp_path / "model", architecture, options=options)
    torch.testing.assert_close(single.score(batch), torch.tensor(expected), rtol=0, atol=2e-5)
    assert load_encoder(tmp_path / "model").config.num_hidden_layers == 4


def test_layouts_name_themselves(tmp_path: Path) -> None:
    for write, name in ((write_cat, "bert_cat"), (write_colbert, "colbert"), (write_prettr, "prettr")):
        write(tmp_path / name)
        assert architecture_of(tmp_path / name) == name
        assert load_ranker(tmp_path / name).architecture == name
    write_dot(tmp_path / "dot")
    assert architecture_of(tmp_path / "dot") is None
    with pytest.raises(UserError, match="does not say which ranker it is: give its architecture, bert_cat"):
        load_ranker(tmp_path / "dot")
    with pytest.raises(UserError, match="holds a colbert, not a bert_dot"):
        load_ranker(tmp_path / "colbert", "bi_encoder")
    with pytest.raises(UserError, match="is an encoder without the weights of a prettr"):
        load_ranker(tmp_path / "dot", "prettr")


def test_options_are_those_of_the_cards(tmp_path: Path) -> None:
    write_colbert(tmp_path / "colbert")
    write_prettr(tmp_path / "prettr")
    assert load_ranker(tmp_path / "colbert").options == ColBertOptions(
        "papers", dim=8, query_masks=8, mask_position="after_sep"
    )
    prettr = load_ranker(tmp_path / "prettr").options
    assert prettr == PreTtrOptions(join_layer=3, query_masks=8, mask_position="after_sep")
    assert prettr.document_offset == 30
    write_released_prettr(tmp_path / "released")
    assert load_ranker(tmp_path / "released").options == replace(prettr, join_layer=2)
    assert load_ranker(tmp_path / "released").config.model_type == "distilbert"
    with pytest.raises(UserError, match="colbert has no DotOptions"):
        load_ranker(tmp_path / "colbert", options=DotOptions())


def test_a_published_cat_is_a_cat_like_any_other(tmp_path: Path) -> None:
    write_cat(tmp_path / "cat")
    ranker = load_cat(tmp_path / "cat", dropout=0.25)
    assert isinstance(ranker, BertCat)
    assert (ranker.num_layers, ranker.num_labels, ranker.config.dropout) == (4, 1, 0.25)
    with pytest.raises(UserError, match="has a head of 1 label, not 2"):
        load_cat(tmp_path / "cat", num_labels=2)


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")
    return folder


HEAD = "_classification_layer"
WORDS = "embeddings.word_embeddings.weight"
INNER = "transformer.layer.1.ffn.lin1.bias"


@pytest.mark.parametrize(
    ("write", "architecture", "change", "message"),
    [
        (write_dot, "bert_dot", lambda w: w.pop(INNER), f"weight {INNER} is missing"),
        (write_cat, "bert_cat", lambda w: w.pop(f"{HEAD}.bias"), "weight classifier.bias is missing"),
        (write_cat, "bert_cat", lambda w: w.pop(f"bert_model.{WORDS}"), f"weight {WORDS} is missing"),
        (write_colbert, "colbert", lambda w: w.update(more=torch.ones(1)), "weight more is unexpected"),
        (write_prettr, "prettr", lambda w: w.update({f"{HEAD}.bias": torch.ones(1)}), f"weight {HEAD}.bias is unexpe"),
        (
            write_prettr,
            "prettr",
            lambda w: w.update({f"{HEAD}.weight": torch.ones(1, 9)}),
            r"shape \[1, 9\], not \[1, 8\]",
        ),
        (
            write_dot,
            "bert_dot",
            lambda w: w.update(mu=torch.ones(1), z=torch.ones(1)),
            r"mu is unexpected \(and 1 more",
        ),
    ],
)
def test_wrong_weights_are_named(tmp_path: Path, write: Any, architecture: str, change: Any, message: str) -> None:
    write(tmp_path / "model")
    with pytest.raises(UserError, match=message):
        load_ranker(changed(tmp_path / "model", change), architecture)


def test_wrong_folders_are_named(tmp_path: Path) -> None:
    write_colbert(tmp_path / "colbert")
    config = json.loads((tmp_path / "colbert/config.json").read_text())
    (tmp_path / "colbert/config.json").write_text(json.dumps({**config, "bert_model": "no-such-model"}))
    with pytest.raises(UserError, match="bert_model = 'no-such-model' is not a model that can be found"):
        load_ranker(tmp_path / "colbert")
    (tmp_path / "colbert/config.json").write_text("{")
    with pytest.raises(UserError, match=r"config.json cannot be read"):
        load_ranker(tmp_path / "colbert")
    write_dot(tmp_path / "dot")
    (tmp_path / "dot/model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match=r"model.safetensors cannot be read"):
        load_ranker(tmp_path / "dot", "bert_dot")


def test_tokenizers_of_published_folders(tmp_path: Path, tokenizer: Any) -> None:
    """Such a folder may hold a vocabulary alone, or nothing where its language model's tokenizer is meant."""
    write_colbert(tmp_path / "colbert")
    tokenizer.save_pretrained(tmp_path / "distilbert-tiny")
    expected = tokenizer("the red cat")["input_ids"]
    assert load_tokenizer(tmp_path / "colbert")("the red cat")["input_ids"] == expected
    words = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    write_released_prettr(tmp_path / "prettr")
    for name in ("colbert", "prettr"):
        (tmp_path / name / "vocab.txt").write_text("".join(f"{word}\n" for word, _ in words))
    assert load_tokenizer(tmp_path / "prettr")("the red cat")["input_ids"] == expected
    (tmp_path / "distilbert-tiny/tokenizer.json").unlink()
    loaded = load_tokenizer(tmp_path / "colbert")
    assert loaded("the red cat")["input_ids"] == expected
    assert len(loaded) == len(tokenizer)
    (tmp_path / "colbert/vocab.txt").unlink()
    with pytest.raises(UserError, match="holds no tokenizer that can be loaded"):
        load_tokenizer(tmp_path / "colbert")


REAL = "DISTILKIT_PUBLISHED_CHECKPOINTS"
IDS = {
    "query": "101 2054 2003 1996 19081 3075 102",
    "first": "101 2057 2024 2200 3407 2000 2265 2017 1996 100 19081 3075 2005 3653 1011 4738 2653 4275 1012 2057 2024 "
    "5094 1996 2451 2147 2362 2875 1996 3125 1997 10787 17953 2361 100 1012 102",
    "second": "101 17012 1045 2123 1005 1056 2066 2023 2047 3185 2055 19081 2008 1045 2288 2013 2026 2334 3075 1012 "
    "2216 19081 2024 13507 1029 102",
}


def one(ids: list[int]) -> TokenBatch:
    return TokenBatch(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long))


@pytest.mark.skipif(REAL not in os.environ, reason=f"{REAL} names no folder of released checkpoints")
@pytest.mark.parametrize(
    ("name", "masks", "expected"),
    [
        ("distilbert-cat-margin_mse-T2-msmarco", [], (5.899686336517334, 2.2803378105163574)),
        ("distilbert-dot-margin_mse-T2-msmarco", [], (108.82856750488281, 99.5865249633789)),
        ("colbert-distilbert-margin_mse-T2-msmarco", [103] * 8, (106.46382141113281, 99.99703216552734)),
        ("colbert-distilbert-margin_mse-T2-msmarco", [101] * 8, (104.63861083984375, 101.60920715332031)),
        ("prettr-distilbert-split_at_3-margin_mse-T2-msmarco", [103] * 8, (5.672976493835449, 1.37656831741333)),
    ],
)
def test_released_weights_score_as_on_their_cards(name: str, masks: list[int], expected: tuple[float, float]) -> None:
    folder = Path(os.environ[REAL]) / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    options = PreTtrOptions(join_layer=3, document_offset="batch") if "prettr" in name else None
    ranker = load_ranker(folder, "bert_dot" if "-dot-" in name else None, options=options)
    query, *passages = ([int(token) for token in ids.split()] for ids in IDS.values())
    for passage, score in zip(passages, expected, strict=True):
        if "-cat-" in name:
            batch: Any = one(query + passage[1:])
        else:
            batch = SideBatch(one(query + masks), one(passage[1:] if "prettr" in name else passage))
        with torch.no_grad():
            assert ranker.score(batch).item() == pytest.approx(score, abs=2e-3)
