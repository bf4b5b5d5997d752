"""distilkit's rankers as PyTerrier transformers: `bm25 >> distilkit.pyterrier.Reranker("my-run")`."""

from typing import TYPE_CHECKING, Any

from distilkit.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

try:
    import pyterrier as pt
except ImportError as missing:
    raise UserError("PyTerrier is not installed: pip install 'distilkit[pyterrier]'") from missing

COLUMNS = ("qid", "query", "docno")


class Reranker(pt.Transformer):  # type: ignore[misc,unused-ignore]
    """A ranker that scores the results that it is given and ranks them anew.

    It reads the columns qid, query, docno and that of the text, and keeps all others; score and rank are its own.
    Queries that PyTerrier has rewritten are read as they were before, where the frame still says so.

    Args:
        ranker: what `distilkit.load` takes, or a ranker that it returned
        text_field: the column that holds the documents' texts
        options: more that `distilkit.load` takes

    Raises UserError for a frame without these columns.
    """

    def __init__(self, ranker: Any, *, text_field: str = "text", **options: Any) -> None:
        super().__init__()
        from distilkit.api.rankers import LoadedRanker, load

        self.ranker = ranker if isinstance(ranker, LoadedRanker) else load(ranker, **options)
        self.text_field = text_field

    def transform(self, results: "pd.DataFrame") -> "pd.DataFrame":
        """Return the results with new scores and ranks, by query and rank."""
        for column in (*COLUMNS, self.text_field):
            if column not in results.columns:
                given = ", ".join(map(str, results.columns))
                raise UserError(f"the results have no column {column!r}; they have {given}")
        queries = results["query_0"] if "query_0" in results.columns else results["query"]
        scores = self.ranker.score(list(zip(queries, results[self.text_field], strict=True)))
        ranked = results.assign(score=scores)
        ranked["rank"] = ranked.groupby("qid")["score"].rank(method="first", ascending=False).astype(int) - 1
        return ranked.sort_values(["qid", "rank"], kind="stable").reset_index(drop=True)
