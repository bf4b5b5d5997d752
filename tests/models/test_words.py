"""Whole-word vocabularies, and word embeddings read from text files."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import tiny_config
from transformers import AutoModelForSequenceClassification

from distilkit.errors import UserError
from distilkit.models.cat import BertCat
from distilkit.models.initialise import student_from
from distilkit.models.load import load_ranker, load_tokenizer
from distilkit.models.save import save_ranker
from distilkit.models.tk import TkOptions
from distilkit.models.words import glove_table, word_tokenizer

TEXTS = ["The cat, the dog.", "THE naïve cat"]
GLOVE = """\
the 0.1 0.2 0.3
, -1 0 1
cat 1e-1 2 3
. . . 9 9 9
unused 7 7 7
cat 5 5 5
"""


def test_words_are_lower_case_and_most_frequent_first() -> None:
    tokenizer = word_tokenizer(TEXTS)
    assert tokenizer.convert_ids_to_tokens(range(4)) == ["[PAD]", "[UNK]", "the", "cat"]
    ids = tokenizer("The CAT zebra")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["the", "cat", "[UNK]"]
    assert len(word_tokenizer(TEXTS, max_words=3)) == 5
    assert set(word_tokenizer(TEXTS, min_count=2).get_vocab()) == {"[PAD]", "[UNK]", "the", "cat"}


@pytest.mark.parametrize("header", ["", "5 3\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_rows_of_the_words_that_are_there(tmp_path: Path, header: str, packed: bool) -> None:
    path = tmp_path / ("glove.txt.gz" if packed else "glove.txt")
    content = (header + GLOVE).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    vocabulary = word_tokenizer(TEXTS).get_vocab()
    torch.manual_seed(0)
    table = glove_table(path, vocabulary)
    assert table.shape == (len(vocabulary), 3)
    assert table[vocabulary["the"]].tolist() == pytest.approx([0.1, 0.2, 0.3])
    # The first of equals, and a word that starts as another one does is not it.
    assert table[vocabulary["cat"]].tolist() == pytest.approx([0.1, 2, 3])
    assert 9 not in table[vocabulary["."]].tolist()
    torch.manual_seed(0)
    torch.testing.assert_close(glove_table(path, vocabulary), table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 0.1 0.2\ncat 0.1\n", r"glove.txt, line 2: a word and 2 numbers separated by blanks"),
        ("the 0.1 0.2\ncat 0.1 x\n", r"line 2: a word and 2 numbers"),
        ("the 0.1 0.2\ncat 0.1 nan\n", r"line 2: a word and 2 numbers"),
        ("the\n", r"line 1: a word and its numbers"),
        ("zebra 0.1 0.2\n", r"holds embeddings of none of the vocabulary's"),
        ("", r"holds embeddings of none"),
        (None, r"cannot be read as word embeddings"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "glove.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        glove_table(tmp_path / "glove.txt", word_tokenizer(TEXTS).get_vocab())


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    line = " ".join(f"{value:.3f}" for value in np.linspace(-1, 1, 50))
    with (tmp_path / "glove.txt").open("w") as file:
        file.writelines(f"word{number} {line}\n" for number in range(20_000))
    tracemalloc.start()
    glove_table(tmp_path / "glove.txt", {"word7": 0, "word19999": 1})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "glove.txt").stat().st_size > 5_000_000
    assert peak < 1_000_000


def test_a_tk_of_words_is_saved_with_its_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text(GLOVE)
    tokenizer = word_tokenizer(TEXTS)
    source = BertCat(AutoModelForSequenceClassification.from_config(tiny_config("bert")))
    options = TkOptions(embeddings=str(tmp_path / "glove.txt"), vocabulary="word", dim=4, feed_forward=8)
    student = student_from(source, architecture="tk", options=options, tokenizer=tokenizer)
    save_ranker(student, tokenizer, tmp_path / "tk")
    again, loaded = load_ranker(tmp_path / "tk"), load_tokenizer(tmp_path / "tk")
    assert again.options == student.options
    assert again.config.vocab_size == len(loaded) == len(tokenizer)
    assert loaded("The cat, a zebra")["input_ids"] == tokenizer("The cat, a zebra")["input_ids"]
