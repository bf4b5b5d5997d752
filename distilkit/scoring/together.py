"""Several rankers' scores of the same pairs, each from its own tokens: what ensembles are made of."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from distilkit.evaluation.rerank import score_pairs
from distilkit.runs.reporter import Reporter
from distilkit.scoring.rankers import OpenRanker
from distilkit.training.precision import Precision
from distilkit.training.processes import Processes

Integers = npt.NDArray[np.int64]


def score_each(
    rankers: Mapping[str, OpenRanker],
    tokens: Callable[[OpenRanker], Any],
    queries: Integers,
    passages: Integers,
    *,
    batch_size: int,
    precision: Precision,
    processes: Processes,
    reporter: Reporter,
) -> npt.NDArray[np.float64]:
    """Return every ranker's raw score of every pair, shape ``[n, rankers]``, for `teacher_scores.combine.combine`.

    Every process scores its share and gets all scores; one ranker at a time is on the device.

    Args:
        rankers: by name, in the order of the columns
        tokens: returns the tokens that a ranker reads, made by its own tokenizer and cut to its own lengths
        queries: the row of each pair's query in those tokens, shape ``[n]``
        passages: that of its passage, shape ``[n]``
        batch_size: pairs of a forward pass
        precision: what is computed in
        processes: who takes part
        reporter: shows how far it is, ranker by ranker

    Raises RunFailed where a score is not finite.
    """
    scores = np.empty((len(queries), len(rankers)))
    for column, (name, opened) in enumerate(rankers.items()):
        read = tokens(opened)
        with opened.on(processes.device) as ranker, reporter.phase(f"re-rank with {name}", len(queries)) as phase:
            scores[:, column] = score_pairs(
                ranker,
                read,
                queries,
                passages,
                batch_size=batch_size,
                precision=precision,
                processes=processes,
                progress=phase.reach,
            )
    return scores
