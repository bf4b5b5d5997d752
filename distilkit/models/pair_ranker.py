"""What rankers have in common that read query and document in one sequence."""

from typing import Any

from distilkit.models.macs import SideMacs
from distilkit.models.ranker import Ranker


class PairRanker(Ranker):
    """A ranker whose layers all read query and document together, so that it computes nothing before both are known."""

    def side_macs(self, query_length: int, document_length: int) -> SideMacs:
        """Return what a pair costs: nothing is computed before query and document are known."""
        return SideMacs(0, 0, self.macs(query_length + document_length))

    def pair_macs(self, tokens: Any) -> int:
        """Return the multiply-accumulates of the longest pair that `tokens` makes."""
        return self.macs(tokens.max_length)

    @property
    def interaction(self) -> str:
        """All layers read both."""
        return f"all {self.num_layers} layers"
