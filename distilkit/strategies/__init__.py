"""Strategies by name; each file holds one."""

from distilkit.strategies import fine_tune, simplified_tinybert
from distilkit.strategies.base import (
    STRATEGIES,
    Strategy,
    StrategyError,
    named_table,
    parse_strategy,
    strategy_from_table,
    strategy_name,
    strategy_table,
)
from distilkit.strategies.stage import Stage, Term

__all__ = [
    "STRATEGIES",
    "Stage",
    "Strategy",
    "StrategyError",
    "Term",
    "fine_tune",
    "named_table",
    "parse_strategy",
    "simplified_tinybert",
    "strategy_from_table",
    "strategy_name",
    "strategy_table",
]
