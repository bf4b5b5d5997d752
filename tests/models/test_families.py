"""Families of encoders and decoders: each a teacher and the start of students, with the scores of their own library."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import transformers
from peers import (
    DOCUMENTS,
    QUERIES,
    SMALL,
    bytelevel,
    our_scores,
    pairs_of,
    sentencepiece,
    spread,
    store_of,
    wordpiece,
)
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from distilkit.errors import UserError
from distilkit.models import student_options
from distilkit.models.batch import batch_of
from distilkit.models.initialise import student_from
from distilkit.models.load import load_tokenizer
from distilkit.models.save import save_ranker

ROWS = {"vocab_size": 0, "max_position_embeddings": 64}
SHARED_HEADS = {"num_key_value_heads": 1, "head_dim": 8, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 2}
MODERN = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
ROBERTA = {"type_vocab_size": 1, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "max_position_embeddings": 66}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "eos_token_id": 1, "pad_token_id": 0}
T5 |= {"decoder_start_token_id": 0}
DEBERTA = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0, "position_buckets": 8}
DEBERTA |= {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False}


GEMMA = {**SMALL, **SHARED_HEADS, "sliding_window": 8, "attn_logit_softcapping": 2.0}


class Family(NamedTuple):
    """A family of transformers: the prefix of its classes, what makes its tokenizer, its sizes, and how it is read."""

    prefix: str
    tokenizer: Callable[[], Any]
    sizes: dict[str, Any]
    pooling: str = "mean"


FAMILIES = {
    "BERT": Family("Bert", wordpiece, {**SMALL}),
    "DistilBERT": Family("DistilBert", wordpiece, {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}),
    "RoBERTa": Family("Roberta", bytelevel, {**SMALL, **ROBERTA}),
    "XLM-R": Family("XLMRoberta", sentencepiece, {**SMALL, **ROBERTA}),
    "ALBERT": Family("Albert", lambda: sentencepiece("albert"), {**SMALL, "embedding_size": 8, "pad_token_id": 0}),
    "ELECTRA": Family("Electra", wordpiece, {**SMALL, "embedding_size": 8}),
    "MPNet": Family("MPNet", bytelevel, {**SMALL, "pad_token_id": 1, "max_position_embeddings": 66}),
    "DeBERTa-v3": Family("DebertaV2", lambda: sentencepiece("deberta-v2"), {**SMALL, **DEBERTA}),
    "ModernBERT": Family(
        "ModernBert", lambda: bytelevel("modernbert"), {**SMALL, **MODERN, "local_attention": 8, "num_hidden_layers": 4}
    ),
    "EuroBERT": Family("EuroBert", lambda: bytelevel("modernbert"), {**SMALL, **MODERN, **SHARED_HEADS}),
    "ERNIE": Family("Ernie", wordpiece, {**SMALL}),
    "RoFormer": Family("RoFormer", wordpiece, {**SMALL, "embedding_size": 16}),
    "NomicBERT": Family("NomicBert", wordpiece, {**SMALL}),
    "T5 encoder": Family("T5", lambda: sentencepiece("t5"), T5),
    "Qwen2": Family("Qwen2", lambda: bytelevel("decoder"), {**SMALL, **SHARED_HEADS}, "last"),
    "Qwen3": Family("Qwen3", lambda: bytelevel("decoder"), {**SMALL, **SHARED_HEADS}, "last"),
    "Llama": Family("Llama", lambda: bytelevel("decoder"), {**SMALL, **SHARED_HEADS}, "last"),
    "Gemma 2": Family(
        "Gemma2",
        lambda: bytelevel("decoder"),
        {**SMALL, **SHARED_HEADS, "sliding_window": 8, "attn_logit_softcapping": 2.0},
        "last",
    ),
}
ROLES = ("teacher", "bert_cat", "bert_dot", "colbert")


def write(folder: Path, family: Family, **changes: Any) -> Path:
    """Write a tiny cross-encoder of a family."""
    tokenizer = family.tokenizer()
    sizes = {**ROWS, **family.sizes, "vocab_size": len(tokenizer), "num_labels": 1, **changes}
    config = getattr(transformers, f"{family.prefix}Config")(**sizes)
    spread(getattr(transformers, f"{family.prefix}ForSequenceClassification")(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def alone(folder: Path, pairs: list[tuple[str, str]]) -> Tensor:
    """Return the logits of pairs, one by one, by transformers alone."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        rows = [
            model(**tokenizer(*pair, truncation=True, max_length=64, return_tensors="pt")).logits[0] for pair in pairs
        ]
    return torch.stack(rows)[:, 0]


def trained(folder: Path, family: Family, architecture: str) -> Any:
    """Return a student of a family's after one step of training."""
    tokenizer = load_tokenizer(folder)
    options: dict[str, Any] = {"bert_dot": {"pooling": family.pooling, "normalise": True, "scale": 20.0}}.get(
        architecture, {}
    )
    if architecture == "colbert":
        options = {"dim": 8, "markers": "[unused0]" in tokenizer.get_vocab()}
    shape = f"L{2 if family.prefix == 'ModernBert' else 1}_H16"
    student = student_from(
        folder,
        architecture=architecture,
        options=student_options(architecture, options),
        shape=shape,
        start="every_nth_layer",
        tokenizer=tokenizer,
    )
    stores = store_of(tokenizer, QUERIES), store_of(tokenizer, DOCUMENTS[: len(QUERIES)])
    lengths = {"max_length": 64, "query_length": 16, "document_length": 32}
    rows = torch.arange(len(QUERIES)).numpy()
    batch = batch_of(student.options.text_format.tokens(tokenizer, *stores, lengths).batch(rows, rows))
    before = {name: one.detach().clone() for name, one in student.named_parameters()}
    optimiser = torch.optim.SGD(student.parameters(), lr=0.01)
    scores = student(batch) if architecture != "bert_cat" else student.logits(batch)[:, 0]
    (scores - torch.tensor([1.0, 0.0, 1.0, 0.0])).square().mean().backward()
    optimiser.step()
    changed = [name for name, one in student.named_parameters() if not torch.equal(one, before[name])]
    assert len(changed) > len(before) // 2
    return student.eval()


def peers_of(folder: Path, architecture: str) -> Tensor:
    """Return every query's scores with every document in sentence-transformers."""
    if architecture == "bert_cat":
        found = CrossEncoder(str(folder), device="cpu").predict(pairs_of(), show_progress_bar=False)
        return torch.tensor(found).view(len(QUERIES), -1)
    model: Any = (SentenceTransformer if architecture == "bert_dot" else MultiVectorEncoder)(str(folder), device="cpu")
    found = model.similarity(model.encode_query(QUERIES), model.encode_document(DOCUMENTS))
    return torch.as_tensor(found)


def tried(folder: Path, family: Family, role: str) -> str:
    """Return `yes` for what works with its library's scores, or why it is refused."""
    source = write(folder / "source", family)
    try:
        if role == "teacher":
            ours, theirs = our_scores(source).ravel(), alone(source, pairs_of())
        else:
            student = trained(source, family, role)
            lengths = {"max_length": 64, "query_length": 16, "document_length": 32}
            save_ranker(student, load_tokenizer(source), folder / "saved", **lengths)
            ours, theirs = our_scores(folder / "saved"), peers_of(folder / "saved", role)
    except UserError as error:
        return str(error)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert ours.std() > 1e-4
    return "yes"


found: dict[str, dict[str, str]] = {name: {} for name in FAMILIES}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", FAMILIES)
def test_scores_training_and_files_are_its_librarys(name: str, role: str, tmp_path: Path) -> None:
    found[name][role] = tried(tmp_path, FAMILIES[name], role)
    assert found[name][role] == "yes"


def test_the_table_stands_in_the_docs(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"| family | {' | '.join(ROLES)} |", f"|---|{'---|' * len(ROLES)}"]
    lines += [f"| {name} | {' | '.join(cells.get(role, '?') for role in ROLES)} |" for name, cells in found.items()]
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    if all(len(cells) == len(ROLES) for cells in found.values()):
        assert "\n".join(lines) in (Path(__file__).parents[2] / "docs/families.md").read_text()
