"""What `distilkit bench` was asked for."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from distilkit.errors import UserError

Tokenisation = Literal["in", "out", "both"]

# Gao et al. 2020 keep the best of 64, 128, 256 and 512 on GPUs; small batches are the better ones on CPUs.
BATCH_SIZES = (16, 32, 64, 128, 256, 512)
# Hofstätter et al. 2020: special tokens on top, these fill the 30 and 200 tokens that queries and passages are cut to.
TEXT_LENGTHS = (28, 198)
PAPER_DEPTH = 1000


@dataclass(frozen=True)
class Bench:
    """A ranker, the work that it is timed on, and how.

    Attributes:
        architecture: which ranker it is, where the model does not say: then one is drawn around its encoder
        options: that new ranker's options
        shape: its shape, such as L3_H384
        data: a collection's folder, or pydocs; made-up texts where absent
        text_lengths: tokens of made-up queries and documents, special tokens not counted
        queries: how many are timed
        warm_up: how many are done before, and not timed
        paper: time as the Margin-MSE paper does, too
    """

    model: str
    depths: tuple[int, ...] = (100,)
    batch_sizes: tuple[int, ...] = BATCH_SIZES
    architecture: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    shape: str | None = None
    data: str | None = None
    split: str = "test"
    text_lengths: tuple[int, int] = TEXT_LENGTHS
    query_length: int | None = None
    document_length: int | None = None
    max_length: int | None = None
    queries: int = 20
    warm_up: int = 3
    tokenisation: Tokenisation = "both"
    paper: bool = False
    bf16: bool | str = "auto"
    runs_dir: Path = Path("runs")

    def check(self) -> None:
        """Raise UserError for counts that nothing can be timed with."""
        named = {"--depth": self.depths, "--batch-sizes": self.batch_sizes, "--lengths": self.text_lengths}
        for name, values in named.items():
            if not values or min(values) < 1:
                raise UserError(f"{name}: expected whole numbers from 1")
        if self.architecture is None and (self.options or self.shape is not None):
            raise UserError("--option and --shape are for a new ranker around an encoder: name its --architecture")

    @property
    def deepest(self) -> int:
        """The most documents that a query ranks."""
        return max(self.depths)


def options_table(values: Sequence[str]) -> dict[str, Any]:
    """Return options given as K=V, a number, true, false or a word; raises UserError for another form."""
    table: dict[str, Any] = {}
    for text in values:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise UserError(f"--option {text}: expected a name and a value, such as dim=128")
        try:
            table[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            table[name] = value
    return table
