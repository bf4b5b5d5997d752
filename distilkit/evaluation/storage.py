"""What it takes to keep encoded documents: vectors of 16 bits, one a document or one a token."""

from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

# Documents are kept in float16, as in the Margin-MSE paper.
BYTES = 2
ROWS = 1024


def keeps_documents(ranker: Any) -> bool:
    """Tell whether a ranker can encode documents before any query is known.

    A prettr whose documents start at the width of a batch's queries cannot.
    """
    return ranker.inputs == "sides" and getattr(ranker.options, "document_offset", 0) != "batch"


def vector_size(ranker: Any) -> int:
    """Return the numbers in one of a ranker's document vectors."""
    dim = getattr(ranker.options, "dim", None)
    return int(dim or ranker.hidden_size)


def storage_unit(ranker: Any) -> str | None:
    """Return how many vectors a collection needs: |P|, its passages, |T|, their tokens, or None where none is kept."""
    if not keeps_documents(ranker):
        return None
    return "|P|" if ranker.architecture == "bert_dot" else "|T|"


def bytes_per_document(ranker: Any, tokens: Any, documents: Integers) -> float | None:
    """Return the bytes that a document's vectors take on the mean, by formula: vectors × numbers in one × 2.

    Args:
        ranker: the ranker
        tokens: its tokens
        documents: the documents' rows in them

    Returns:
        None where no document can be kept, or none is given.
    """
    if not keeps_documents(ranker) or not len(documents):
        return None
    if storage_unit(ranker) == "|P|":
        return float(vector_size(ranker) * BYTES)
    return float(_vectors(tokens.documents, documents) / len(documents) * vector_size(ranker) * BYTES)


def _vectors(side: Any, documents: Integers) -> int:
    """Count the tokens that are scored, which are those that are kept."""
    count = 0
    for at in range(0, len(documents), ROWS):
        columns = side.batch(documents[at : at + ROWS])
        count += int(columns.get("scored", columns["attention_mask"]).sum())
    return count
