"""Where the rankers' multiply-accumulates fall: query, document, pair."""

from types import SimpleNamespace
from typing import Any

import pytest
from tiny_students import ranker_of

from distilkit.models.cat import BertCat
from distilkit.models.macs import SideMacs, encoder_macs

# 4 layers of 16 dimensions, 64 inside; TK has 2 of 16 (or 8) and 20.
QUERY, DOCUMENT = encoder_macs(4, 16, 64, 5), encoder_macs(4, 16, 64, 9)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("dot", SideMacs(QUERY, DOCUMENT, 16)),
        ("dot-8", SideMacs(QUERY + 16 * 8, DOCUMENT + 16 * 8, 8)),
        ("colbert", SideMacs(QUERY + 5 * 16 * 16, DOCUMENT + 9 * 16 * 16, 5 * 9 * 16)),
        ("colbert-stanford", SideMacs(QUERY + 5 * 16 * 8, DOCUMENT + 9 * 16 * 8, 5 * 9 * 8)),
        ("prettr", SideMacs(QUERY // 2, DOCUMENT // 2, encoder_macs(2, 16, 64, 14))),
        ("prettr-0", SideMacs(0, 0, encoder_macs(4, 16, 64, 14))),
        ("tk", SideMacs(encoder_macs(2, 16, 20, 5), encoder_macs(2, 16, 20, 9), 5 * 9 * (16 + 11))),
        (
            "tk-projected",
            SideMacs(encoder_macs(2, 8, 20, 5) + 5 * 16 * 8, encoder_macs(2, 8, 20, 9) + 9 * 16 * 8, 5 * 9 * (8 + 11)),
        ),
    ],
)
def test_sides(kind: str, expected: SideMacs) -> None:
    ranker = ranker_of(kind)
    assert ranker.side_macs(5, 9) == expected
    tokens = SimpleNamespace(queries=SimpleNamespace(longest=5), documents=SimpleNamespace(longest=9))
    assert ranker.pair_macs(tokens) == sum(expected)


def test_pairs(tiny: Any) -> None:
    cat = BertCat(tiny("distilbert"))
    assert cat.side_macs(5, 9) == SideMacs(0, 0, cat.macs(14))
    assert cat.pair_macs(SimpleNamespace(max_length=12)) == encoder_macs(4, 16, 64, 12)
