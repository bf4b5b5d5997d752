"""What the papers claim, in a form that a suite can answer: one system against another, for every student."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.evidence.measured import Measured, between

ALPHA = 0.05


@dataclass(frozen=True)
class Claim:
    """A paper says that a system is better than a baseline, or as good (non-inferior at 3 %)."""

    suite: str
    words: str
    system: str
    baseline: str
    kind: Literal["better", "as good"] = "better"


PAPERS = {
    "simplified_tinybert_table1": "Chen et al. (2021), Simplified TinyBERT",
    "understanding_table1": "Gao, Dai and Callan (2020), Understanding BERT Rankers Under Distillation",
    "margin_mse_table2": "Hofstätter et al. (2020), Margin-MSE, table 2",
    "margin_mse_table3": "Hofstätter et al. (2020), Margin-MSE, table 3",
}

_SIMPLIFIED, _UNDERSTANDING, _TABLE2, _TABLE3 = PAPERS
_KD, _TINY, _HARD = "standard_kd(general=true)", "tinybert", "tinybert(hard_label=true)"
_ONE, _BOTH = "tinybert(one_step=true)", "simplified_tinybert(general=true)"
_RANKER, _LABELS = "ranker_distill", "lm_distill_fine_tune(listwise=1.0)"
_TWO, _NONE, _OFFSET = "lm_distill_ranker_distill", "no teacher", 'pointwise_mse(score_offset="teacher_mean")'
CLAIMS = (
    Claim(_SIMPLIFIED, "TinyBERT is better than standard distillation", _TINY, _KD),
    Claim(_SIMPLIFIED, "the hard label helps TinyBERT", _HARD, _TINY),
    Claim(_SIMPLIFIED, "one step is as good as two", _ONE, _TINY, "as good"),
    Claim(_SIMPLIFIED, "one step with the hard label is better than TinyBERT", _BOTH, _TINY),
    Claim(_SIMPLIFIED, "Simplified TinyBERT is as good as its teacher", _BOTH, "teacher", "as good"),
    Claim(_UNDERSTANDING, "distilling the ranker needs general distillation before", _TWO, _RANKER),
    Claim(_UNDERSTANDING, "after general distillation a ranker teaches better than labels", _TWO, _LABELS),
    Claim(_UNDERSTANDING, "with both a student is as good as its teacher", _TWO, "teacher", "as good"),
    Claim(_TABLE2, "Margin-MSE is better than no teacher", "margin_mse", _NONE),
    Claim(_TABLE2, "Margin-MSE is better than weighted RankNet", "margin_mse", "weighted_ranknet"),
    Claim(_TABLE2, "Margin-MSE is better than pointwise MSE", "margin_mse", "pointwise_mse"),
    Claim(_TABLE2, "pointwise MSE is better than no teacher", "pointwise_mse", _NONE),
    Claim(_TABLE2, "(ours) a fixed offset makes pointwise MSE better", _OFFSET, "pointwise_mse"),
    Claim(_TABLE3, "one teacher is better than none", "margin_mse, T1", _NONE),
    Claim(_TABLE3, "an ensemble teaches better than one teacher", "margin_mse, T2", "margin_mse, T1"),
)


def baselines(suite: str) -> list[str]:
    """Return what the systems of a suite are compared with for its claims."""
    return list(dict.fromkeys(claim.baseline for claim in CLAIMS if claim.suite == suite))


@dataclass(frozen=True)
class Verdict:
    """What a suite says of a claim for one student: its words, and the difference and p that they come from.

    `figures` are the difference, p over queries and seeds, that p after Holm's correction, and the corrected p of the
    test with the seeds fixed.
    """

    student: str
    holds: str
    figures: tuple[str, str, str, str] = ("–", "–", "–", "–")


def verdicts(claim: Claim, measured: Measured) -> Iterator[Verdict]:
    """Yield what a suite says of a claim, student by student."""
    for student, result in measured.results.items():
        found, sign = between(result, claim.system, claim.baseline), 1
        if found is None:  # of two baselines the earlier one is that of the other
            found, sign = between(result, claim.baseline, claim.system), -1
        if found is None:
            yield Verdict(student, "cannot be read: a system is missing")
            continue
        difference, p = sign * found.mean_difference, found.p_adjusted
        sure = p is not None and p < ALPHA
        fixed = found.fixed_seeds_p_adjusted
        figures = f"{difference:+.4f}", _shown(found.p), _shown(p), _shown(fixed)
        if claim.kind == "as good":
            # Only of the claimed direction is non-inferiority known.
            alike = found.non_inferior if sign == 1 else None
            words = "holds" if alike or (sure and difference > 0) else "not shown"
            yield Verdict(student, "does not hold" if words != "holds" and sure else words, figures)
            continue
        words = "holds" if sure else "holds in direction, not shown"
        if not sure and fixed is not None and fixed < ALPHA:
            words = "holds for these models, not shown for other seeds"
        if difference <= 0:
            words = "does not hold: the other way round" if sure else "does not hold"
        yield Verdict(student, words, figures)


def _shown(p: float | None) -> str:
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.2g}"
