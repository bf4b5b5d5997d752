"""Plain text as sequences: packed within documents, framed as the tokenizer would, and masked by seed and index."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from distilkit.data.plain_text import Masking, TextTokens, read_texts, write_sequences
from distilkit.data.plain_text import packing as packing_module
from distilkit.data.tokens import TokenStore
from distilkit.errors import UserError

WORDS = [f"w{number}" for number in range(50)]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MASK = SPECIALS.index("[MASK]")


def make_tokenizer(types: bool = True, mask: bool = True) -> Any:
    """Return a word tokenizer that frames texts as BERT does, with token types or, like DistilBERT, without."""
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*SPECIALS, *WORDS])}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", *["mask"] * mask)}
    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * types
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=names, **special)


TOKENIZER = make_tokenizer()


def text_of(length: int, offset: int = 0) -> str:
    return " ".join(WORDS[(offset + at) % len(WORDS)] for at in range(length))


def packed(folder: Path, texts: list[str], max_length: int = 16, **options: Any) -> TokenStore:
    folder.mkdir(exist_ok=True)
    write_sequences(folder, iter(texts), TOKENIZER, max_length, lambda *_: None, **options)
    return TokenStore.open(folder)


def sequences(store: TokenStore) -> list[list[int]]:
    return [store[index].tolist() for index in range(len(store.lengths))]


@settings(deadline=None, max_examples=40)
@given(lengths=st.lists(st.integers(0, 40), max_size=8).filter(lambda sizes: any(size >= 5 for size in sizes)))
def test_sequences_are_pieces_of_one_document(tmp_path_factory: pytest.TempPathFactory, lengths: list[int]) -> None:
    texts = [text_of(length, 7 * number) for number, length in enumerate(lengths)]
    store = packed(tmp_path_factory.mktemp("packed"), texts, max_length=11)
    expected: list[list[int]] = []
    for text in texts:
        ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
        expected += [ids[at : at + 9] for at in range(0, len(ids), 9) if len(ids[at : at + 9]) >= 5]
    assert sequences(store) == expected
    assert store.lengths.tolist() == [len(one) for one in expected]


def test_what_lies_on_disk_is_a_token_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing_module, "CHARACTERS", 40)
    seen: list[tuple[int, int]] = []
    texts = [text_of(12, number) for number in range(3)]
    assert write_sequences(tmp_path, texts, TOKENIZER, 16, lambda *done: seen.append(done)) == 3
    assert seen == [(2, 0), (3, 0)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lengths.npy", "starts.npy", "tokens.npy"]
    store = TokenStore.open(tmp_path)
    assert [store.tokens.dtype, store.starts.dtype, store.lengths.dtype] == [np.uint16, np.int64, np.int64]
    assert isinstance(store.tokens.base, np.memmap)


def test_no_more_is_read_than_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing_module, "CHARACTERS", 1)
    read: list[int] = []
    seen: list[tuple[int, int]] = []

    def documents() -> Any:
        for number in range(9):
            read.append(number)
            yield text_of(28)

    assert write_sequences(tmp_path, documents(), TOKENIZER, 16, lambda *done: seen.append(done), 3) == 3
    assert (read, seen) == ([0, 1], [(2, 3), (3, 3)])
    assert len(TokenStore.open(tmp_path).lengths) == 3


def test_text_without_a_sequence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is too short for a sequence; expected a document of 5 tokens"):
        packed(tmp_path, [text_of(4), ""])
    with pytest.raises(UserError, match="max_length = 6: expected at least 7"):
        packed(tmp_path, [text_of(20)], max_length=6)


@pytest.mark.parametrize("types", [True, False])
def test_batches_are_those_of_the_tokenizer(tmp_path: Path, types: bool) -> None:
    tokenizer, texts = make_tokenizer(types), [text_of(9), text_of(14, 3), text_of(5, 8)]
    packed(tmp_path, texts, 16)
    ours, rows, unused = TextTokens.open(tmp_path, tokenizer, 16), np.array([1, 2]), np.array([99, 99])
    expected = tokenizer([texts[1], texts[2]], padding=True, return_tensors="np")
    batch = ours.batch(unused, rows)
    assert set(batch) == set(tokenizer.model_input_names)
    for name, column in batch.items():
        assert column.dtype == np.int64
        np.testing.assert_array_equal(column, expected[name], err_msg=name)
    assert ours.lengths(unused, rows).tolist() == [16, 7]
    assert len(ours) == 3
    wide = ours.batch(unused[:1], rows[1:], pad_to=12)
    expected = tokenizer([texts[2]], padding="max_length", max_length=12, return_tensors="np")
    for name, column in wide.items():
        np.testing.assert_array_equal(column, expected[name], err_msg=name)
    # A shorter length than the one they were packed for cuts.
    short = TextTokens.open(tmp_path, tokenizer, 10)
    expected = tokenizer([texts[1], texts[2]], padding=True, truncation=True, max_length=10, return_tensors="np")
    np.testing.assert_array_equal(short.batch(unused, rows)["input_ids"], expected["input_ids"])
    assert short.lengths(unused, rows).tolist() == [10, 7]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 400 packed sequences of 5 to 44 tokens."""
    folder = tmp_path_factory.mktemp("sequences")
    packed(folder, [text_of(5 + number % 40, number) for number in range(400)], 64)
    return folder


@pytest.mark.parametrize(("kind", "share"), [("one", None), ("bert", 0.15)])
def test_masking_chooses_tokens_and_never_special_ones(folder: Path, kind: Any, share: float | None) -> None:
    rows = np.arange(400)
    plain = TextTokens.open(folder, TOKENIZER, 64).batch(rows, rows)
    masked = TextTokens.open(folder, TOKENIZER, 64, masking=kind, seed=3).batch(rows, rows)
    chosen = masked["chosen"]
    assert chosen.dtype == np.int64
    assert set(np.unique(chosen)) == {0, 1}
    words = plain["attention_mask"].sum(1) - 2
    expected = np.ones(400) if share is None else np.maximum(1, [round(share * int(count)) for count in words])
    np.testing.assert_array_equal(chosen.sum(1), expected)
    assert not (chosen * (plain["input_ids"] < len(SPECIALS))).any()
    for name in ("attention_mask", "token_type_ids"):
        np.testing.assert_array_equal(masked[name], plain[name])
    # Only what was chosen has changed, 80 : 10 : 10, and never into a special token but the mask.
    np.testing.assert_array_equal(masked["input_ids"][chosen == 0], plain["input_ids"][chosen == 0])
    before, after = plain["input_ids"][chosen == 1], masked["input_ids"][chosen == 1]
    shares = [(after == MASK).mean(), ((after != MASK) & (after != before)).mean(), (after == before).mean()]
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.05)
    assert (after >= MASK).all()
    # Every place in a sequence is chosen alike, the first and the last too.
    assert chosen[:, 1].any()
    assert chosen[np.arange(400), words].any()


def test_masking_depends_on_seed_and_index_alone(folder: Path) -> None:
    def masked(rows: list[int], seed: int = 3, pad_to: int | None = None) -> Any:
        tokens = TextTokens.open(folder, TOKENIZER, 64, masking="bert", seed=seed)
        return tokens.batch(np.zeros(len(rows), np.int64), np.array(rows), pad_to)

    whole, part = masked(list(range(400)), pad_to=50), masked([17, 5], pad_to=50)
    for name, column in part.items():
        np.testing.assert_array_equal(column, whole[name][[17, 5]])
    assert (masked(list(range(400)), seed=4)["chosen"] != masked(list(range(400)))["chosen"]).any()
    # Two sequences of one length are masked in different places.
    assert len({tuple(row) for row in whole["chosen"][39::40]}) > 1


def test_masking_needs_a_mask() -> None:
    assert Masking.of(make_tokenizer(mask=False), "none", 1) is None
    with pytest.raises(UserError, match="masking = 'bert': the tokenizer has no mask token"):
        Masking.of(make_tokenizer(mask=False), "bert", 1)


def test_real_text_fills_sequences(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    source = str(real_data("lm-text") / "inaugural.txt")
    write_sequences(tmp_path, read_texts(source), TOKENIZER, 32, lambda *_: None)
    store = TokenStore.open(tmp_path)
    assert (store.lengths.min(), store.lengths.max()) == (5, 30)
    assert store.starts[-1] == len(store.tokens)
