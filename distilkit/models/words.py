"""Word embeddings and whole-word vocabularies, for the ranker that starts from no language model."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from distilkit.data.scripts import CHARACTER
from distilkit.errors import UserError
from distilkit.files import open_text

PAD, UNKNOWN = "[PAD]", "[UNK]"

# GloVe's values are about this large. A transformer's embeddings are ten times smaller, and would vanish beside the
# positions that are added to them and the normalised states that they are mixed with; cosines do not change with it.
ROOT_MEAN_SQUARE = 0.4


def word_tokenizer(texts: Iterable[str], *, max_words: int = 400_000, min_count: int = 1) -> PreTrainedTokenizerFast:
    """Return a tokenizer of the lower-cased words of some texts, the most frequent ones; row 0 pads, 1 is unknown."""
    tokenizer = Tokenizer(models.WordLevel({PAD: 0, UNKNOWN: 1}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    # In scripts that are written without blanks every character is a word.
    alone = pre_tokenizers.Split(Regex(CHARACTER), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), alone])
    trainer = trainers.WordLevelTrainer(
        vocab_size=max_words + 2, min_frequency=min_count, special_tokens=[PAD, UNKNOWN], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        model_input_names=["input_ids", "attention_mask"],
    )


def random_table(words: int, dim: int) -> Tensor:
    """Return normally distributed word embeddings, `[words, dim]`; they follow torch.manual_seed."""
    return torch.randn(words, dim) * ROOT_MEAN_SQUARE


def scaled_table(table: Tensor) -> Tensor:
    """Return a copy of a language model's word embeddings whose root mean square is GloVe's."""
    table = table.detach().float().clone()
    return table * (ROOT_MEAN_SQUARE / table.square().mean().sqrt().clamp(min=1e-12))


def glove_table(path: Path, vocabulary: dict[str, int]) -> Tensor:
    """Return the embeddings `[rows, dim]` of a vocabulary from a text file: a word and its numbers a line.

    The file is read once, and nothing of it is kept but the rows that are asked for; words that it has not are drawn
    at random. Raises UserError for a line of another length or with what is not a number, or where no word is found.
    """
    rows = max(vocabulary.values()) + 1
    table: Tensor | None = None
    found = np.zeros(rows, bool)
    try:
        with open_text(path) as file:
            for number, line in enumerate(file, 1):
                if table is None:
                    if _is_header(line):
                        continue
                    dim = _dimensions(line, path)
                    table = random_table(rows, dim)
                first = line.partition(" ")[0]
                if first not in vocabulary:
                    continue
                # A word may hold blanks (none of the vocabulary's does), its numbers do not.
                word, *values = line.rstrip().rsplit(" ", dim)
                if word == first and not found[row := vocabulary[word]]:
                    table[row] = _numbers(values, dim, f"{path}, line {number}")
                    found[row] = True
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as word embeddings: {error}") from None
    if table is None or not found.any():
        raise UserError(f"{path} holds embeddings of none of the vocabulary's {len(vocabulary)} words")
    return table


def _numbers(values: list[str], dim: int, where: str) -> Tensor:
    try:
        numbers = torch.tensor([float(value) for value in values])
    except ValueError:
        numbers = torch.tensor([])
    if len(numbers) != dim or not numbers.isfinite().all():
        raise UserError(f"{where}: a word and {dim} numbers separated by blanks were expected")
    return numbers


def _dimensions(line: str, path: Path) -> int:
    numbers = 0
    for value in reversed(line.rstrip().split(" ")[1:]):
        try:
            float(value)
        except ValueError:
            break
        numbers += 1
    if not numbers:
        raise UserError(f"{path}, line 1: a word and its numbers separated by blanks were expected")
    return numbers


def _is_header(line: str) -> bool:
    # fastText and word2vec start with the numbers of words and dimensions.
    parts = line.split()
    return len(parts) == 2 and all(part.isdecimal() for part in parts)
