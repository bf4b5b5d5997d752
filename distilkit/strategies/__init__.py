"""Strategies by name; each file holds one."""

from distilkit.strategies import (
    fine_tune,
    lm_distill_fine_tune,
    lm_distill_ranker_distill,
    margin_mse,
    pointwise_mse,
    ranker_distill,
    simplified_tinybert,
    standard_kd,
    tinybert,
    weighted_ranknet,
)
from distilkit.strategies.base import (
    STRATEGIES,
    Strategy,
    StrategyError,
    named_table,
    parse_strategy,
    stages_of,
    strategy_from_table,
    strategy_name,
    strategy_table,
    with_shared,
)
from distilkit.strategies.stage import Stage, Term

__all__ = [
    "STRATEGIES",
    "Stage",
    "Strategy",
    "StrategyError",
    "Term",
    "fine_tune",
    "lm_distill_fine_tune",
    "lm_distill_ranker_distill",
    "margin_mse",
    "named_table",
    "parse_strategy",
    "pointwise_mse",
    "ranker_distill",
    "simplified_tinybert",
    "stages_of",
    "standard_kd",
    "strategy_from_table",
    "strategy_name",
    "strategy_table",
    "tinybert",
    "weighted_ranknet",
    "with_shared",
]
