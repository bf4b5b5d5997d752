"""Saved rankers load here, and in the library of their kind, with equal scores."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import MultiVectorEncoder, SentenceTransformer
from test_side_batches import side_batch
from tiny_models import tiny_config
from tiny_students import KINDS, ranker_of, sides
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModel, PreTrainedTokenizerFast

from distilkit.errors import UserError
from distilkit.models import STUDENTS, student_options
from distilkit.models.checkpoint import Checkpoint
from distilkit.models.colbert import ColBertOptions
from distilkit.models.dot import DotOptions
from distilkit.models.encoder import encoder_of
from distilkit.models.load import architecture_of, load_encoder, load_ranker, load_tokenizer
from distilkit.models.save import save_ranker

QUERIES = ["where did the cat go", "my dog", "red ball"]
DOCUMENTS = ["the cat sat, on a mat. and sat", "the dog ran off with my red ball!", "how many cats sit?"]


@pytest.mark.parametrize("kind", KINDS)
def test_saved_rankers_score_alike(kind: str, tmp_path: Path, tokenizer: Any) -> None:
    ranker, batch = ranker_of(kind), sides(kind)
    save_ranker(
        ranker, tokenizer, tmp_path / "model", query_length=12, document_length=24, facts={"loss": "margin_mse"}
    )
    assert architecture_of(tmp_path / "model") == ranker.architecture
    again = load_ranker(tmp_path / "model")
    assert again.options == ranker.options
    assert not again.training
    torch.testing.assert_close(again.score(batch), ranker.score(batch), rtol=0, atol=1e-6)
    half = load_ranker(tmp_path / "model", dtype=torch.float16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float16}
    entry = Checkpoint(tmp_path / "model").entry
    assert (entry["query_length"], entry["document_length"]) == (12, 24)
    assert load_tokenizer(tmp_path / "model")("the cat")["input_ids"] == tokenizer("the cat")["input_ids"]
    assert {weight.dtype for weight in load_file(tmp_path / "model/model.safetensors").values()} == {torch.float32}
    card = (tmp_path / "model/README.md").read_text()
    assert "| loss | margin_mse |" in card
    assert "# model" in card


@pytest.mark.parametrize("kind", ["dot-8", "colbert", "prettr"])
@pytest.mark.parametrize("family", ["distilbert", "electra", "roberta"])
def test_every_family_is_saved(kind: str, family: str, tmp_path: Path, tokenizer: Any) -> None:
    ranker, batch = ranker_of(kind, family), sides(kind)
    save_ranker(ranker, tokenizer, tmp_path / "model")
    torch.testing.assert_close(load_ranker(tmp_path / "model").score(batch), ranker.score(batch), rtol=0, atol=1e-6)
    # As a start for another ranker, and for anyone's transformers.
    states = load_encoder(tmp_path / "model")(batch.query.input_ids, batch.query.attention_mask).last_hidden_state
    theirs = AutoModel.from_pretrained(tmp_path / "model")(batch.query.input_ids, batch.query.attention_mask)
    torch.testing.assert_close(theirs.last_hidden_state, states, rtol=0, atol=2e-6)


def test_dropout_of_a_loaded_ranker(tmp_path: Path, tokenizer: Any) -> None:
    for kind, name in (("dot", "hidden_dropout_prob"), ("tk", "dropout")):
        save_ranker(ranker_of(kind), tokenizer, tmp_path / kind)
        assert getattr(load_ranker(tmp_path / kind, dropout=0.25).config, name) == 0.25


def test_options_that_do_not_fit_the_weights(tmp_path: Path, tokenizer: Any) -> None:
    save_ranker(ranker_of("dot-8"), tokenizer, tmp_path / "dot")
    with pytest.raises(UserError, match=r"weight compressor\.bias is unexpected"):
        load_ranker(tmp_path / "dot", options=DotOptions())
    save_ranker(ranker_of("tk"), tokenizer, tmp_path / "tk")
    with pytest.raises(UserError, match=r"weight kernels\.kernel_alpha_scaler is missing"):
        load_ranker(
            tmp_path / "tk", options=student_options("tk", {"dim": 16, "feed_forward": 20, "kernel_scale": True})
        )
    config = json.loads((tmp_path / "dot/config.json").read_text())
    config["distilkit"]["options"]["dims"] = 3
    (tmp_path / "dot/config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="bert_dot has no option 'dims'; did you mean 'dim'"):
        load_ranker(tmp_path / "dot")


@pytest.mark.parametrize("kind", ["dot", "dot-8"])
@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_sentence_transformers_scores_a_bert_dot_alike(kind: str, family: str, tmp_path: Path, tokenizer: Any) -> None:
    ranker = ranker_of(kind, family)
    save_ranker(ranker, tokenizer, tmp_path / "model", query_length=24, document_length=24)
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu", local_files_only=True)
    assert theirs.similarity_fn_name == "dot"
    found = theirs.similarity(theirs.encode(QUERIES), theirs.encode(DOCUMENTS))
    batch = side_batch(tokenizer, QUERIES, DOCUMENTS, ranker.options.text_format, 24, 24)
    ours = ranker.score_all(ranker.encode_query(batch.query), ranker.encode_document(batch.document))
    torch.testing.assert_close(found, ours, rtol=1e-5, atol=1e-5)
    # What it saves is a bert_dot too, as others publish them.
    theirs.save(str(tmp_path / "theirs"), create_model_card=False)
    again = load_ranker(tmp_path / "theirs")
    assert again.options == ranker.options
    torch.testing.assert_close(again.score(batch), ranker.score(batch), rtol=0, atol=1e-5)


@pytest.fixture
def markers() -> Any:
    """Return a tokenizer of BERT's conventions with the tokens that ColBERT's markers are."""
    words = "the cat sat on a mat and dog ran off with my red ball how many sit where did go".split()  # noqa: SIM905
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys([*specials, *".,!?", *words]))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_pylates_layout_scores_a_stanford_colbert_alike(family: str, tmp_path: Path, markers: Any) -> None:
    torch.manual_seed(0)
    options = ColBertOptions(form="stanford", dim=8)
    ranker: Any = STUDENTS["colbert"].ranker()(encoder_of(tiny_config(family)), options)  # type: ignore[arg-type]
    ranker.eval()
    save_ranker(ranker, markers, tmp_path / "model", query_length=12, document_length=20)
    batch = side_batch(markers, QUERIES, DOCUMENTS, options.text_format, 12, 20)
    ours = ranker.score_all(ranker.encode_query(batch.query), ranker.encode_document(batch.document))
    assert batch.document.scored is not None
    assert (batch.document.scored < batch.document.attention_mask).any()
    for hidden in ((), ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json")):
        # First PyLate's files, then Stanford's alone.
        for name in hidden:
            (tmp_path / "model" / name).unlink()
        theirs = MultiVectorEncoder(str(tmp_path / "model"), device="cpu", local_files_only=True)
        found = theirs.similarity(theirs.encode_query(QUERIES), theirs.encode_document(DOCUMENTS))
        torch.testing.assert_close(found.cpu(), ours, rtol=1e-5, atol=1e-5)


def test_the_papers_colbert_claims_no_foreign_layout(tmp_path: Path, tokenizer: Any) -> None:
    save_ranker(ranker_of("colbert"), tokenizer, tmp_path / "model")
    assert not (tmp_path / "model/modules.json").exists()
    assert Checkpoint(tmp_path / "model").model_class == "DistilkitColBERT"
    assert "linear.weight" not in Checkpoint(tmp_path / "model").shapes
    assert "PyLate and sentence-transformers do not compute this form" in (tmp_path / "model/README.md").read_text()


def test_a_bert_cat_is_saved_as_before(saved: Any, tmp_path: Path, tokenizer: Any) -> None:
    ranker = load_ranker(saved("cat"))
    save_ranker(ranker, tokenizer, tmp_path / "again", max_length=24)
    assert Checkpoint(tmp_path / "again").entry == {"architecture": "bert_cat", "options": {}, "max_length": 24}
    assert architecture_of(tmp_path / "again") == "bert_cat"
    with pytest.raises(ValueError, match="with the max_length of its pairs"):
        save_ranker(ranker, tokenizer, tmp_path / "again")
