"""Models that are made otherwise than BERT: tokenizers in Python, heads of other names, decoders, odd attention."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    wordpiece,
)
from sentence_transformers import CrossEncoder
from torch.nn import Identity

from distilkit.data.tokens import tokenizer_identity
from distilkit.errors import UserError
from distilkit.models import student_options
from distilkit.models.attention import attention, require_computed
from distilkit.models.cat import BertCat, load_cat
from distilkit.models.dot import BertDot
from distilkit.models.encoder import position_room
from distilkit.models.initialise import student_from
from distilkit.models.load import load_encoder, load_ranker, load_tokenizer
from distilkit.models.save import save_ranker
from distilkit.scoring.rankers import open_ranker

LETTERS = "abcdefghijklmnopqrstuvwxyz"
D = {"d_model": 16, "num_labels": 1}


def japanese(folder: Path) -> Any:
    folder.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *"なぜ光るのか"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    kinds = {"word_tokenizer_type": "basic", "subword_tokenizer_type": "character"}
    tokenizer = transformers.BertJapaneseTokenizer(str(folder / "vocab.txt"), model_max_length=64, **kinds)
    return tokenizer, transformers.BertConfig(vocab_size=len(words), num_labels=1, **SMALL)


def phobert(folder: Path) -> Any:
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("".join(f"{one} 1\n" for one in [*(f"{one}@@" for one in LETTERS), *LETTERS]))
    (folder / "bpe.codes").write_text("#version: 0.2\na p 1\n")
    files = str(folder / "vocab.txt"), str(folder / "bpe.codes")
    tokenizer = transformers.PhobertTokenizer(*files, model_max_length=64)
    sizes = {**SMALL, "max_position_embeddings": 66, "type_vocab_size": 1, "pad_token_id": 1}
    return tokenizer, transformers.RobertaConfig(vocab_size=len(tokenizer) + 2, num_labels=1, **sizes)


def byt5(folder: Path) -> Any:
    return transformers.ByT5Tokenizer(), transformers.BertConfig(vocab_size=400, num_labels=1, **SMALL)


def t5(folder: Path) -> Any:
    tokenizer, sizes = sentencepiece("t5"), {"d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    ends = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    return tokenizer, transformers.T5Config(vocab_size=len(tokenizer), **D, **sizes, **ends)


def bart(folder: Path) -> Any:
    tokenizer, sizes = bytelevel(), {}
    for side in ("encoder", "decoder"):
        sizes |= {f"{side}_layers": 2, f"{side}_attention_heads": 2, f"{side}_ffn_dim": 32}
    ends = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
    return tokenizer, transformers.BartConfig(vocab_size=len(tokenizer), **D, **sizes, **ends)


def xlnet(folder: Path) -> Any:
    tokenizer = wordpiece()
    tokenizer.padding_side = "left"
    sizes = {"n_layer": 2, "n_head": 2, "d_inner": 32, "pad_token_id": 0}
    return tokenizer, transformers.XLNetConfig(vocab_size=len(tokenizer), **D, **sizes)


def funnel(folder: Path) -> Any:
    tokenizer, sizes = wordpiece(), {"block_sizes": [1, 1], "num_decoder_layers": 1, "n_head": 2, "d_head": 8}
    return tokenizer, transformers.FunnelConfig(vocab_size=len(tokenizer), **D, **sizes, d_inner=32)


def canine(folder: Path) -> Any:
    tokenizer = transformers.CanineTokenizer()
    tokenizer.model_max_length = 64
    return tokenizer, transformers.CanineConfig(num_labels=1, num_hash_functions=2, num_hash_buckets=64, **SMALL)


def write(folder: Path, make: Callable[[Path], Any]) -> Path:
    tokenizer, config = make(folder)
    kind = transformers.AutoModelForSequenceClassification
    spread(kind.from_config(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("make", [japanese, phobert, byt5, t5, bart, xlnet, funnel])
def test_a_cross_encoder_scores_as_its_library_does(make: Callable[[Path], Any], tmp_path: Path) -> None:
    folder = write(tmp_path / "model", make)
    documents = [*DOCUMENTS, "the old desert " * 12]
    model = CrossEncoder(str(folder), device="cpu", activation_fn=Identity())
    # One by one: some of these libraries' own scores depend on the padding.
    expected = [float(model.predict([pair], show_progress_bar=False)[0]) for pair in pairs_of(QUERIES, documents)]
    found = our_scores(folder, QUERIES, documents).ravel()
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-4)
    assert found.std() > 1e-3


def test_what_depends_on_padding_is_refused_with_family_and_difference(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", canine)
    with pytest.raises(UserError, match=r"is a canine, which cannot be made a ranker: what .* differs by \d\S* from"):
        open_ranker(str(folder))


@pytest.mark.parametrize("make", [japanese, phobert, byt5])
def test_a_tokenizer_in_python_is_told_by_its_files(make: Callable[[Path], Any], tmp_path: Path) -> None:
    tokenizer, _ = make(tmp_path / "one")
    tokenizer.save_pretrained(tmp_path / "one")
    tokenizer = load_tokenizer(tmp_path / "one")
    before = tokenizer_identity(load_tokenizer(tmp_path / "one"))
    tokenizer.model_max_length = 17
    assert tokenizer_identity(tokenizer) == before
    tokenizer.add_tokens(["more"])
    assert tokenizer_identity(tokenizer) != before


def test_a_run_with_a_tokenizer_in_python(tmp_path: Path, tiny_beir: Path, cli: Any) -> None:
    teacher = write(tmp_path / "phobert", phobert)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"""\
name = "phobert"
[data]
source = "beir"
path = "{tiny_beir}"
max_length = 48
[teacher]
model = "{teacher}"
[student]
shape = "L1_H16"
[strategy]
name = "standard_kd"
[train]
negatives = 2
max_steps = 2
bf16 = false
[twin]
budget = "none"
[evaluate]
rerank_depth = 3
""")
    done = cli("run", recipe, "--runs-dir", tmp_path / "runs")
    assert done.code == 0, done.err
    assert our_scores(tmp_path / "runs/phobert/model").isfinite().all()


def test_a_decoder_of_two_labels_is_saved(tmp_path: Path) -> None:
    tokenizer = bytelevel("decoder")
    config = transformers.GPTNeoXConfig(vocab_size=len(tokenizer), num_labels=2, pad_token_id=0, **SMALL)
    model = BertCat(spread(transformers.GPTNeoXForSequenceClassification(config)))
    tokenizer.save_pretrained(tmp_path / "source")
    model.model.save_pretrained(tmp_path / "source")
    expected = our_scores(tmp_path / "source")
    save_ranker(load_ranker(tmp_path / "source"), tokenizer, tmp_path / "saved", max_length=64)
    torch.testing.assert_close(our_scores(tmp_path / "saved"), expected, rtol=1e-5, atol=1e-5)


def test_a_decoders_first_state_is_no_vector(tmp_path: Path) -> None:
    tokenizer = bytelevel("decoder")
    config = transformers.GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, pad_token_id=0)
    transformers.GPT2Model(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    encoder = load_encoder(tmp_path)
    with pytest.raises(UserError, match=r'a gpt2 is a decoder, whose first state .* pooling = "last" or "mean"'):
        BertDot(encoder, student_options("bert_dot"))  # type: ignore[arg-type]
    BertDot(encoder, student_options("bert_dot", {"pooling": "last"}))  # type: ignore[arg-type]


def test_a_classifier_that_reads_padding_is_refused(tmp_path: Path) -> None:
    config = transformers.ConvBertConfig(vocab_size=60, embedding_size=16, num_labels=1, **SMALL)
    spread(transformers.ConvBertForSequenceClassification(config)).save_pretrained(tmp_path)
    for read in (load_cat, load_encoder):
        with pytest.raises(
            UserError, match="is a convbert, which cannot be made a ranker: what it makes of texts that"
        ):
            read(tmp_path)


def test_arguments_of_attention_that_are_not_computed_are_refused() -> None:
    require_computed(torch.nn.Identity(), {"sliding_window": 4, "is_causal": True, "block_indices": None})
    with pytest.raises(UserError, match="Identity hands block_indices to its attention, which is not computed here"):
        require_computed(torch.nn.Identity(), {"block_indices": torch.ones(1)})


def test_caps_sinks_and_biases() -> None:
    """Against the formulas, with shared heads."""
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    wide_key, wide_value = key.repeat_interleave(2, 1), value.repeat_interleave(2, 1)
    scores = query @ wide_key.transpose(2, 3) / 8**0.5
    mask = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    mask[1, ..., 3:] = False
    bias, sinks = torch.randn(1, 4, 5, 5), torch.randn(4)
    hidden = torch.zeros(2, 1, 1, 5).masked_fill(~mask, -torch.inf)
    module = torch.nn.Identity().eval()
    for named, expected in (
        ({}, torch.softmax(scores + hidden, -1)),
        ({"softcap": 0.5}, torch.softmax(0.5 * torch.tanh(scores / 0.5) + hidden, -1)),
        ({"position_bias": bias}, torch.softmax(scores + bias + hidden, -1)),
        (
            {"s_aux": sinks},
            torch.softmax(torch.cat([scores + hidden, sinks.view(1, 4, 1, 1).expand(2, 4, 5, 1)], -1), -1)[..., :-1],
        ),
    ):
        found, _ = attention(module, query, key, value, mask, **named)  # type: ignore[arg-type]
        torch.testing.assert_close(found, (expected @ wide_value).transpose(1, 2), rtol=1e-5, atol=1e-5)


def test_positions_limit_those_that_have_a_table_of_them(tmp_path: Path) -> None:
    """A DeBERTa without one reads on; `--max-length` beyond a table is refused as before."""
    sizes = {**SMALL, "max_position_embeddings": 64, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
    tokenizer = sentencepiece("deberta-v2")
    for biased in (False, True):
        config = transformers.DebertaV2Config(
            vocab_size=len(tokenizer), num_labels=1, position_biased_input=biased, type_vocab_size=0, **sizes
        )
        folder = tmp_path / str(biased)
        spread(transformers.DebertaV2ForSequenceClassification(config)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        opened = open_ranker(str(folder))
        assert opened.max_length == 64
        if biased:
            with pytest.raises(UserError, match="has positions for 64 tokens"):
                opened.with_lengths(max_length=100)
            continue
        text = "the old desert and the planet " * 12
        tokens = tokenizer(QUERIES[0], text, truncation=True, max_length=100, return_tensors="pt")
        model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
        with torch.no_grad():
            expected = model(**tokens).logits[0]
        found = our_scores(opened.with_lengths(max_length=100), QUERIES[:1], [text])[0]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    rooms = {"bert": 64, "roberta": 64, "distilbert": 64, "llama": None}
    for name, room in rooms.items():
        kind = {"bert": "Bert", "roberta": "Roberta", "distilbert": "DistilBert", "llama": "Llama"}[name]
        more = {"pad_token_id": 1, "max_position_embeddings": 66} if name == "roberta" else {"pad_token_id": 0}
        sizes = {"vocab_size": 60, "max_position_embeddings": 64, **more}
        sizes |= {"dim": 16, "n_heads": 2, "n_layers": 1} if name == "distilbert" else SMALL
        config = getattr(transformers, f"{kind}Config")(**sizes)
        assert position_room(transformers.AutoModel.from_config(config)) == room, name


def test_what_holds_layer_by_layer_follows_the_layers_that_are_taken(tmp_path: Path) -> None:
    tokenizer = bytelevel("modernbert")
    kinds = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
    sizes = {**SMALL, "num_hidden_layers": 4, "layer_types": kinds, "local_attention": 4, "pad_token_id": 0}
    config = transformers.ModernBertConfig(vocab_size=len(tokenizer), **sizes)
    transformers.ModernBertModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    for start, expected in (("first_layers", kinds[:2]), ("every_nth_layer", [kinds[1], kinds[3]])):
        for architecture in ("bert_cat", "bert_dot"):
            student = student_from(tmp_path, architecture=architecture, shape="L2_H16", start=start)
            assert student.config.layer_types == expected
