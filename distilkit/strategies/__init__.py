"""Strategies by name, and the loss terms that they are made of."""

from distilkit.strategies import (
    contrastive,
    fine_tune,
    listwise,
    minilm,
    ranker_distill,
    ranking_imitation,
    scores,
    standard_kd,
    tinybert,
)
from distilkit.strategies.base import (
    STRATEGIES,
    Strategy,
    StrategyError,
    label_strategy,
    losses_off,
    named_table,
    parse_strategy,
    resolved_stages,
    stages_of,
    strategy_from_table,
    strategy_name,
    strategy_table,
    with_shared,
)
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import TERMS, Term

__all__ = [
    "STRATEGIES",
    "TERMS",
    "Stage",
    "Strategy",
    "StrategyError",
    "Term",
    "contrastive",
    "fine_tune",
    "label_strategy",
    "listwise",
    "losses_off",
    "minilm",
    "named_table",
    "parse_strategy",
    "ranker_distill",
    "ranking_imitation",
    "resolved_stages",
    "scores",
    "stages_of",
    "standard_kd",
    "strategy_from_table",
    "strategy_name",
    "strategy_table",
    "tinybert",
    "with_shared",
]
