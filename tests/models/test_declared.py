"""What sentence-transformers and PyLate say beside a model is obeyed, with their own scores, or refused."""

import json
import shutil
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peers import DOCUMENTS, QUERIES, our_scores, pairs_of, spread, wordpiece, write_bert
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from torch.nn import Identity, Tanh

from distilkit.data.prefixes import Prefixes
from distilkit.errors import UserError
from distilkit.files import read_json, write_json
from distilkit.models.colbert import ColBertOptions
from distilkit.models.load import load_encoder, load_ranker, load_tokenizer, saved_prefixes
from distilkit.models.references import content_hash
from distilkit.models.save import save_ranker
from distilkit.scoring.rankers import open_ranker

Change = Callable[[dict[str, Any]], object]


def sentence_model(
    folder: Path,
    mode: str = "cls",
    dense: int | None = None,
    normalise: bool = False,
    similarity: str | None = "dot",
    prompts: dict[str, str] | None = None,
    length: int | None = None,
    activation: Any = None,
    lower: bool = False,
) -> Path:
    """Write a bi-encoder as sentence-transformers does."""
    write_bert(folder / "base", wordpiece(lower=not lower))
    modules: list[Any] = [Transformer(str(folder / "base"), max_seq_length=length, do_lower_case=lower)]
    modules.append(Pooling(16, mode))  # type: ignore[arg-type]
    if dense is not None:
        modules.append(spread(Dense(16, dense, activation_function=activation or Identity())))
    if normalise:
        modules.append(Normalize())
    model = SentenceTransformer(modules=modules, similarity_fn_name=similarity, prompts=prompts, device="cpu")  # type: ignore[arg-type]
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


def their_dots(folder: Path) -> torch.Tensor:
    model = SentenceTransformer(str(folder), device="cpu")
    return model.similarity(model.encode_query(QUERIES), model.encode_document(DOCUMENTS))


def their_late(folder: Path) -> torch.Tensor:
    model = MultiVectorEncoder(str(folder), device="cpu")
    return model.similarity(model.encode_query(QUERIES), model.encode_document(DOCUMENTS)).cpu()


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"similarity": "cosine"},
        {"similarity": None},
        {"mode": "mean"},
        {"mode": "lasttoken"},
        {"mode": "mean", "normalise": True, "prompts": {"query": "query: ", "document": "passage: "}},
        {"mode": "mean", "dense": 8, "normalise": True},
        {"prompts": {"query": "the old "}},
        {"prompts": {"passage": "the old "}},
        {"length": 8},
        {"lower": True},
    ],
)
def test_a_bi_encoder_scores_as_sentence_transformers_does(tmp_path: Path, said: dict[str, Any]) -> None:
    folder = sentence_model(tmp_path, **said)
    expected = their_dots(folder)
    torch.testing.assert_close(our_scores(folder), expected, rtol=1e-5, atol=1e-5)
    # So it does when we have saved it, and when sentence-transformers has saved that.
    opened = open_ranker(str(folder))
    save_ranker(opened.ranker, opened.tokenizer, tmp_path / "ours", **opened.lengths)
    torch.testing.assert_close(their_dots(tmp_path / "ours"), expected, rtol=1e-5, atol=1e-5)
    SentenceTransformer(str(tmp_path / "ours"), device="cpu").save_pretrained(str(tmp_path / "theirs"))
    torch.testing.assert_close(our_scores(tmp_path / "theirs"), expected, rtol=1e-5, atol=1e-5)


def test_queries_have_a_length_of_their_own_in_an_export(tmp_path: Path) -> None:
    opened = open_ranker(str(sentence_model(tmp_path))).with_lengths(query_length=6, document_length=12)
    save_ranker(opened.ranker, opened.tokenizer, tmp_path / "ours", **opened.lengths)
    torch.testing.assert_close(their_dots(tmp_path / "ours"), our_scores(opened), rtol=1e-5, atol=1e-5)
    assert (our_scores(opened) - our_scores(opened.with_lengths(query_length=12))).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"mode": "max"}, "makes vectors by 'max': a bert_dot has the poolings cls, mean, last"),
        ({"mode": ("cls", "mean")}, "several poolings"),
        ({"similarity": "euclidean"}, "compares vectors by 'euclidean'"),
        ({"dense": 8, "activation": Tanh()}, "has an activation function: a ranker's map of its states is linear"),
    ],
)
def test_what_no_bert_dot_computes_is_refused(tmp_path: Path, said: dict[str, Any], message: str) -> None:
    folder = sentence_model(tmp_path, **said)
    with pytest.raises(UserError, match=message):
        open_ranker(str(folder))
    assert load_encoder(folder).config.hidden_size == 16  # to start another ranker from


def test_modules_count_more_than_what_we_wrote_before(tmp_path: Path) -> None:
    opened = open_ranker(str(sentence_model(tmp_path)))
    save_ranker(opened.ranker, opened.tokenizer, tmp_path / "ours", **opened.lengths)
    model = SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    model.append(Normalize())
    model.save_pretrained(str(tmp_path / "theirs"), create_model_card=False)
    torch.testing.assert_close(our_scores(tmp_path / "theirs"), their_dots(tmp_path / "theirs"), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prompt", [None, "the old "])
def test_a_cross_encoder_scores_as_sentence_transformers_does(tmp_path: Path, prompt: str | None) -> None:
    write_bert(tmp_path / "base", head=True)
    named = {"prompts": {"query": prompt}, "default_prompt_name": "query"} if prompt else {}
    model = CrossEncoder(str(tmp_path / "base"), device="cpu", activation_fn=Identity(), **named)  # type: ignore[arg-type]
    model.save_pretrained(str(tmp_path / "model"))
    expected = torch.tensor(model.predict(pairs_of(), show_progress_bar=False)).view(len(QUERIES), -1)
    torch.testing.assert_close(our_scores(tmp_path / "model"), expected, rtol=1e-5, atol=1e-5)
    opened = open_ranker(str(tmp_path / "model"))
    assert opened.prefixes.query == (prompt or "")
    save_ranker(opened.ranker, opened.tokenizer, tmp_path / "ours", **opened.lengths)
    again = CrossEncoder(str(tmp_path / "ours"), device="cpu").predict(pairs_of(), show_progress_bar=False)
    torch.testing.assert_close(torch.tensor(again).view_as(expected), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [64, 20, 12])
def test_a_published_cross_encoder_reads_as_much_as_its_tokenizer_says(tmp_path: Path, length: int) -> None:
    tokenizer = wordpiece()
    tokenizer.model_max_length = length
    folder = write_bert(tmp_path / "model", tokenizer, head=True)
    model = CrossEncoder(str(folder), device="cpu", activation_fn=Identity())
    documents = [f"{document} " * 9 for document in DOCUMENTS]
    expected = torch.tensor(model.predict(pairs_of(QUERIES, documents), show_progress_bar=False))
    assert open_ranker(str(folder)).max_length == length
    torch.testing.assert_close(our_scores(folder, QUERIES, documents).ravel(), expected, rtol=1e-5, atol=1e-5)


def test_an_activation_that_changes_the_order_is_refused(tmp_path: Path) -> None:
    folder = write_bert(tmp_path / "model", head=True)
    config = read_json(folder / "config.json")
    for name in ("torch.nn.modules.activation.ReLU", "mine.Activation"):
        write_json(folder / "config.json", {**config, "sentence_transformers": {"activation_fn": name}})
        with pytest.raises(UserError, match=f"the activation {name} changes the order of scores, or is not known"):
            load_ranker(folder)
    write_json(folder / "config.json", {**config, "sbert_ce_default_activation_function": "torch.nn.Identity"})
    load_ranker(folder)


PYLATE = {
    "prompts": {},
    "default_prompt_name": None,
    "similarity_fn_name": "MaxSim",
    "query_prefix": "[unused0]",
    "document_prefix": "[unused1]",
    "query_length": 12,
    "document_length": 24,
    "attend_to_expansion_tokens": False,
    "skiplist_words": list(string.punctuation),
    "do_query_expansion": True,
}


def pylate(folder: Path, **changes: Any) -> Path:
    """Write a late-interaction model in the layout of PyLate's third version."""
    names = [str(PYLATE | changes).count("[Q] ") and name for name in ("[Q] ", "[D] ")]
    write_bert(folder, wordpiece((*("[unused0]", "[unused1]"), *filter(None, names))))  # type: ignore[arg-type]
    (folder / "1_Dense").mkdir()
    torch.manual_seed(2)
    save_file({"linear.weight": torch.randn(8, 16) * 0.3}, folder / "1_Dense/model.safetensors")
    sizes = {"in_features": 16, "out_features": 8, "bias": False}
    write_json(folder / "1_Dense/config.json", {**sizes, "activation_function": "torch.nn.modules.linear.Identity"})
    kinds = {"": "sentence_transformers.models.Transformer", "1_Dense": "pylate.models.Dense.Dense"}
    modules = [{"idx": at, "name": str(at), "path": path, "type": kinds[path]} for at, path in enumerate(kinds)]
    write_json(folder / "modules.json", modules)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 31, "do_lower_case": False})
    said = {**PYLATE, "model_type": "ColBERT", **changes}
    write_json(folder / "config_sentence_transformers.json", {key: one for key, one in said.items() if one != "absent"})
    return folder


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"attend_to_expansion_tokens": True},
        {"do_query_expansion": False},
        {"skiplist_words": []},
        {"skiplist_words": ["the", ",", "nowhere"]},
        {"query_prefix": "[Q] ", "document_prefix": "[D] "},
        {"prompts": {"query": "the old ", "document": ""}},
        {"query_length": "absent", "document_length": "absent"},
    ],
)
def test_a_pylate_folder_scores_as_sentence_transformers_reads_it(tmp_path: Path, said: dict[str, Any]) -> None:
    folder = pylate(tmp_path / "model", **said)
    expected = their_late(folder)
    torch.testing.assert_close(our_scores(folder), expected, rtol=1e-5, atol=1e-5)
    opened = open_ranker(str(folder))
    assert opened.lengths["query_length"] == (32 if "query_length" in said else 12)
    save_ranker(opened.ranker, opened.tokenizer, tmp_path / "ours", **opened.lengths)
    torch.testing.assert_close(their_late(tmp_path / "ours"), expected, rtol=1e-5, atol=1e-5)
    # Its own layout, which sentence-transformers writes today.
    MultiVectorEncoder(str(tmp_path / "ours"), device="cpu").save_pretrained(str(tmp_path / "theirs"))
    torch.testing.assert_close(our_scores(tmp_path / "theirs"), expected, rtol=1e-5, atol=1e-5)


def test_what_no_colbert_computes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="compares tokens by 'meanmaxsim'"):
        open_ranker(str(pylate(tmp_path / "model", similarity_fn_name="meanmaxsim")))


@pytest.mark.parametrize("skipped", [".,", 3, [1]])
def test_words_that_are_not_scored_are_a_list(skipped: Any) -> None:
    with pytest.raises(UserError, match="skip_punctuation is true, false or a list of words, not"):
        ColBertOptions(skip_punctuation=skipped)


def test_a_colbert_without_markers_loads_in_sentence_transformers(tmp_path: Path) -> None:
    from distilkit.models import student_options
    from distilkit.models.initialise import student_from

    write_bert(tmp_path / "base", wordpiece(()))
    options = student_options("colbert", {"markers": False, "dim": 8})
    ranker = student_from(tmp_path / "base", architecture="colbert", options=options, start="first_layers").eval()
    save_ranker(ranker, load_tokenizer(tmp_path / "base"), tmp_path / "ours", query_length=12, document_length=24)
    torch.testing.assert_close(our_scores(tmp_path / "ours"), their_late(tmp_path / "ours"), rtol=1e-5, atol=1e-5)


def test_stanfords_metadata_is_obeyed(tmp_path: Path) -> None:
    opened = open_ranker(str(pylate(tmp_path / "model")))
    save_ranker(opened.ranker, opened.tokenizer, tmp_path / "ours", **opened.lengths)
    for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (tmp_path / "ours" / name).unlink()
    config = read_json(tmp_path / "ours/config.json")
    del config["distilkit"]
    write_json(tmp_path / "ours/config.json", config)
    path = tmp_path / "ours/artifact.metadata"
    for change in ({}, {"mask_punctuation": False}, {"attend_to_mask_tokens": True}, {"query_maxlen": 20}):
        write_json(path, {**read_json(path), **change})
        torch.testing.assert_close(our_scores(tmp_path / "ours"), their_late(tmp_path / "ours"), rtol=1e-5, atol=1e-5)
    write_json(path, {**read_json(path), "similarity": "l2"})
    with pytest.raises(UserError, match="similarity = 'l2'"):
        load_ranker(tmp_path / "ours")


def test_names_that_transformers_renames(tmp_path: Path) -> None:
    """Old names of a LayerNorm's weights, and the prefixes under which a family's classes keep their encoder."""
    for make in (sentence_model, lambda folder: pylate(folder / "model")):
        folder = make(tmp_path / str(make))
        expected = our_scores(folder)
        weights = load_file(folder / "model.safetensors")
        renamed = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): one
            for name, one in weights.items()
        }
        for table in (renamed, {f"bert.{name}": one for name, one in weights.items()}):
            save_file(table, folder / "model.safetensors", metadata={"format": "pt"})
            torch.testing.assert_close(our_scores(folder), expected, rtol=0, atol=0)
        weights.pop("encoder.layer.1.output.dense.bias")
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(UserError, match=r"the weight encoder.layer.1.output.dense.bias is missing"):
            load_ranker(folder)


def test_nothing_that_is_read_escapes_the_hash(tmp_path: Path) -> None:
    folder = sentence_model(tmp_path, "mean", dense=8, normalise=True, prompts={"query": "query: "})
    (folder / "artifact.metadata").write_text("{}")
    seen = {content_hash(str(folder))}
    read = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "README.md"]
    assert {path.parent.name for path in read} == {"model", "1_Pooling", "2_Dense", "3_Normalize"}
    for path in read:
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        seen.add(content_hash(str(folder)))
        path.write_bytes(before)
    assert len(seen) == 1 + len(read)
    (folder / "README.md").write_text("another text")
    assert content_hash(str(folder)) in seen


def test_adapters_are_refused_with_advice(tmp_path: Path) -> None:
    folder = write_bert(tmp_path / "model", head=True)
    write_json(folder / "adapter_config.json", {"peft_type": "LORA"})
    alone = tmp_path / "adapter"
    alone.mkdir()
    shutil.copy(folder / "adapter_config.json", alone)
    for each in (folder, alone):
        with pytest.raises(UserError, match=r"holds an adapter .* which is not applied here: merge it into its model"):
            open_ranker(str(each))


def test_cut_texts_are_counted_and_said_once(tmp_path: Path, tiny_beir: Path, cli: Any) -> None:
    folder = write_bert(tmp_path / "cat", head=True)
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("q0\td0\nq1\td1\nq2\td2\n")
    fixed = ("--pairs", pairs, "--data", tiny_beir)
    done = cli("score", "--model", folder, *fixed, "--output", tmp_path / "a.parquet", "--max-length", 8)
    assert done.code == 0, done.err
    assert done.err.count("cat: 3 of 3 pairs are longer than 8 tokens") == 1
    whole = cli("score", "--model", folder, *fixed, "--output", tmp_path / "b.parquet")
    assert "are cut" not in whole.err
    dot = sentence_model(tmp_path, length=8)
    found = cli("retrieve", dot, "--data", tiny_beir, "--output", tmp_path / "r.trec", "--runs-dir", tmp_path / "runs")
    assert found.err.count("40 of 40 documents are longer than 8 tokens") == 1


def test_prefixes_are_chosen_and_saved(tmp_path: Path) -> None:
    opened = open_ranker(str(sentence_model(tmp_path))).with_prefixes("query: ", "passage: ")
    expected = our_scores(opened)
    save_ranker(opened.ranker, opened.tokenizer, tmp_path / "ours", **opened.lengths)
    torch.testing.assert_close(their_dots(tmp_path / "ours"), expected, rtol=1e-5, atol=1e-5)
    assert saved_prefixes(tmp_path / "ours") == Prefixes("query: ", "passage: ")
    assert saved_prefixes(tmp_path / "ours", "bert_cat") == Prefixes()
    settings = json.loads((tmp_path / "ours/config_sentence_transformers.json").read_text())
    assert settings["prompts"] == {"query": "query: ", "document": "passage: "}
