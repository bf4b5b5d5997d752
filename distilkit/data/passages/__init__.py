"""Documents ranked by their passages (Dai and Callan 2019): windows of words or tokens, and one score of many."""

from distilkit.data.passages.aggregate import Aggregation, aggregate, best_windows
from distilkit.data.passages.split import split_tokens, split_words
from distilkit.data.passages.windows import Windows, write_windows

__all__ = ["Aggregation", "Windows", "aggregate", "best_windows", "split_tokens", "split_words", "write_windows"]
