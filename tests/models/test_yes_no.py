"""Language models that are asked: scores as transformers and sentence-transformers have them, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peers import DOCUMENTS, QUERIES, SMALL, bytelevel, our_scores, pairs_of, sentencepiece, spread, write_bert
from sentence_transformers import CrossEncoder
from torch import Tensor
from torch.nn import Identity

from distilkit.errors import UserError
from distilkit.models import student_options, yes_no
from distilkit.models.load import load_ranker, load_tokenizer, saved_options
from distilkit.scoring.rankers import OpenRanker, open_ranker

HEADS = {"num_key_value_heads": 1, "head_dim": 8, "pad_token_id": 0, "eos_token_id": 2, "bos_token_id": None}
WORDS = {"yes": "y", "no": "n"}
LONG = [*DOCUMENTS, "the old desert and the planet " * 9]


def write_decoder(folder: Path, kind: str = "Qwen3", **changes: Any) -> Path:
    """Write a tiny causal language model with a tokenizer of bytes."""
    tokenizer = bytelevel("decoder")
    tokenizer.model_max_length = 512
    sizes = {**SMALL, "max_position_embeddings": 512, **HEADS, **changes}
    config = getattr(transformers, f"{kind}Config")(vocab_size=len(tokenizer), **sizes)
    spread(getattr(transformers, f"{kind}ForCausalLM")(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def opened(folder: Path, length: int | None = None, **chosen: Any) -> OpenRanker:
    options = saved_options(folder, "yes_no", chosen)
    ranker, tokenizer = load_ranker(folder, "yes_no", options=options), load_tokenizer(folder)
    return OpenRanker.of(ranker, tokenizer, folder, "", {"max_length": length or 512})


def words_of(folder: Path) -> tuple[int, int]:
    tokenizer = load_tokenizer(folder)
    yes, no = (tokenizer(word, add_special_tokens=False)["input_ids"] for word in WORDS.values())
    return yes[0], no[0]


def as_qwen(folder: Path, length: int, documents: list[str]) -> Tensor:
    """Return the scores as the card of Qwen3-Reranker computes them: left padding, prefix and suffix apart."""
    tokenizer, model = load_tokenizer(folder), transformers.AutoModelForCausalLM.from_pretrained(folder)
    before, rest = yes_no.QWEN.split("<Instruct>")
    after = rest.split("{document}")[1]
    prefix, suffix = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (before, after))
    task = yes_no.PRESETS["qwen3-reranker"]["instruction"]
    rows = []
    for query, document in pairs_of(QUERIES, documents):
        body = tokenizer(f"<Instruct>: {task}\n<Query>: {query}\n<Document>: {document}", add_special_tokens=False)
        rows.append([*prefix, *body["input_ids"][: length - len(prefix) - len(suffix)], *suffix])
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits[:, -1]
    yes, no = words_of(folder)
    return (logits[:, yes] - logits[:, no]).view(len(QUERIES), -1)


@pytest.mark.parametrize("length", [512, 420])
def test_qwens_way(tmp_path: Path, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_decoder(tmp_path)
    ranker = opened(folder, length, template="qwen3-reranker", **WORDS)
    expected = as_qwen(folder, length, LONG)
    found = our_scores(ranker, QUERIES, LONG)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert found.std() > 1e-2
    # What all texts begin with was computed once; without that the scores are the same.
    assert isinstance(ranker.ranker, yes_no.YesNo)
    assert ranker.ranker._cached is not None
    assert len(ranker.ranker._cached[0]) > 100
    monkeypatch.setattr(yes_no, "SHARED", 10**6)
    torch.testing.assert_close(our_scores(ranker, QUERIES, LONG), found, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "more"), [("Llama", {}), ("Gemma2", {"sliding_window": 8}), ("GPTNeoX", {})])
def test_other_decoders_with_a_template(tmp_path: Path, kind: str, more: dict[str, Any]) -> None:
    folder = write_decoder(tmp_path, kind, **more)
    template = "Is this an answer?\nQuestion: {query}\nText: {document}\nAnswer:"
    found = our_scores(opened(folder, template=template, **WORDS))
    tokenizer, model = load_tokenizer(folder), transformers.AutoModelForCausalLM.from_pretrained(folder)
    yes, no = words_of(folder)
    for (query, document), score in zip(pairs_of(), found.ravel().tolist(), strict=True):
        text = template.replace("{query}", query).replace("{document}", document)
        with torch.no_grad():
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0, -1]
        assert score == pytest.approx(float(logits[yes] - logits[no]), rel=1e-4, abs=1e-4)


def test_mono_t5(tmp_path: Path) -> None:
    tokenizer = sentencepiece("t5")
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    ends = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    config = transformers.T5Config(vocab_size=len(tokenizer), **sizes, **ends)
    model = spread(transformers.T5ForConditionalGeneration(config))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert saved_options(tmp_path, "yes_no") == student_options("yes_no", {"template": "monot5"})
    ranker = opened(tmp_path, 200, yes="river", no="apple")
    found = our_scores(ranker)
    yes, no = (tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in ("river", "apple"))
    for (query, document), score in zip(pairs_of(), found.ravel().tolist(), strict=True):
        inputs = tokenizer(f"Query: {query} Document: {document} Relevant:", return_tensors="pt")
        with torch.no_grad():
            logits = model(**inputs, decoder_input_ids=torch.zeros(1, 1, dtype=torch.long)).logits[0, 0]
        assert score == pytest.approx(float(logits[yes] - logits[no]), rel=1e-4, abs=1e-4)
    assert found.std() > 1e-3


def test_what_sentence_transformers_asks(tmp_path: Path) -> None:
    tokenizer = bytelevel("decoder")
    tokenizer.add_tokens(["yes", "no"])
    tokenizer.model_max_length = 512
    tokenizer.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
        "{% endfor %}<|im_start|>assistant\n"
    )
    sizes = {**SMALL, "max_position_embeddings": 512, **HEADS}
    config = transformers.Qwen3Config(vocab_size=len(tokenizer), **sizes)
    spread(transformers.Qwen3ForCausalLM(config)).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    named = {"prompts": {"web": "Judge."}, "default_prompt_name": "web"}
    model = CrossEncoder(str(tmp_path / "base"), device="cpu", activation_fn=Identity(), **named)  # type: ignore[arg-type]
    model.save_pretrained(str(tmp_path / "model"))
    expected = torch.tensor(model.predict(pairs_of(), show_progress_bar=False)).view(len(QUERIES), -1)
    found = open_ranker(str(tmp_path / "model"))
    assert found.ranker.architecture == "yes_no"
    torch.testing.assert_close(our_scores(found), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            {"template": "Query: {query}"},
            "expected a text with {query} and then {document}, each once, or one of monot5",
        ),
        ({"template": "{document} {query}"}, "expected a text with {query} and then {document}"),
        ({"template": "{query} {document}", "instruction": "x"}, "expected one where the template has {instruction}"),
        ({"template": "{instruction} {query} {document}"}, "expected one where the template has {instruction}"),
        (
            {"template": "{query} {document}", "yes": "yes of course", "no": "n"},
            "yes = 'yes of course': expected a word",
        ),
        ({}, "does not say how it is asked: give [teacher] template"),
    ],
)
def test_refused(tmp_path: Path, chosen: dict[str, Any], message: str) -> None:
    folder = write_decoder(tmp_path, "Llama")
    with pytest.raises(UserError) as found:
        opened(folder, **chosen)
    assert message in str(found.value)


def test_a_template_whose_tokens_run_from_query_to_document(tmp_path: Path) -> None:
    sentencepiece("t5").save_pretrained(tmp_path)
    options = yes_no.YesNoOptions("{query}{document}", **WORDS)
    with pytest.raises(UserError, match="runs into the document's first token; expected a blank or a line's end there"):
        options.require_split(load_tokenizer(tmp_path))
    yes_no.YesNoOptions("{query} {document}", **WORDS).require_split(load_tokenizer(tmp_path))


def test_what_is_no_language_model(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"is not a language model that predicts words|cannot be loaded as a language model"
    ):
        opened(write_bert(tmp_path), template="{query} {document}", **WORDS)


RECIPE = """\
name = "asked"
[data]
source = "beir"
path = "{data}"
max_length = 60
[teacher]
{teacher}
[student]
source = "{source}"
shape = "L1_H16"
{student}
[strategy]
{strategy}
[train]
negatives = 2
max_steps = 2
bf16 = false
[twin]
budget = "none"
[evaluate]
rerank_depth = 3
"""

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, tiny_beir: Path, cli: Any) -> Run:
    source = write_bert(tmp_path / "source")

    def run(teacher: str, strategy: str, student: str = "") -> Any:
        path = tmp_path / "recipe.toml"
        values = {"data": tiny_beir, "source": source, "teacher": teacher, "strategy": strategy, "student": student}
        path.write_text(RECIPE.format(**values))
        return cli("run", path, "--runs-dir", tmp_path / "runs")

    return run


def test_a_decoder_teaches_by_scores_alone(tmp_path: Path, run: Run) -> None:
    folder = write_decoder(tmp_path / "teacher", "Llama")
    keys = f'architecture = "yes_no"\nmodel = "{folder}"\ntemplate = "Q: {{query}}\\nD: {{document}}\\nA:"\nyes = "y"\n'
    for more, strategy, message in (
        ('no = "n"', 'name = "tinybert"', "reads more than scores of its teacher; a yes_no has nothing else"),
        ('no = "n"\nscores = "online"', 'name = "margin_mse"', "a yes_no teaches from scores computed before"),
        ('no = "n"\nfine_tune = "fine_tune"', 'name = "margin_mse"', "only a bert_cat can be fine-tuned as a teacher"),
        ('no = "not one token"', 'name = "margin_mse"', "expected a word that is one token"),
    ):
        done = run(f"{keys}{more}", strategy)
        assert done.code == 2, done.err
        assert message in done.err.splitlines()[-1]
    done = run(f'{keys}no = "n"', 'name = "margin_mse"')
    assert done.code == 0, done.err
    assert (tmp_path / "runs/asked/eval/test/references/teacher/measures.json").exists()


def test_a_template_is_for_what_is_asked(tmp_path: Path, run: Run) -> None:
    folder = write_bert(tmp_path / "teacher", head=True)
    done = run(f'model = "{folder}"\ntemplate = "monot5"', 'name = "margin_mse"')
    assert done.code == 2
    assert 'a bert_cat has no prompt; expected architecture = "yes_no", or no template' in done.err


def test_no_student_is_asked(tmp_path: Path, run: Run) -> None:
    folder = write_bert(tmp_path / "teacher", head=True)
    done = run(f'model = "{folder}"', 'name = "margin_mse"', 'architecture = "yes_no"\noptions = {template = "monot5"}')
    assert done.code == 2
    assert "a yes_no teaches by its scores, and is not a student" in done.err
