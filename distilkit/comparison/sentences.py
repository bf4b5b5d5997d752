"""The sentences of a report: verdicts, legend, explanation of columns, evaluation policy."""

from collections import Counter
from collections.abc import Mapping, Sequence

from distilkit.comparison import pairing, wording
from distilkit.comparison.answer import BETTER, WORSE
from distilkit.comparison.options import HIERARCHICAL
from distilkit.comparison.result import Comparison, ComparisonResult, JudgedShares, Policy
from distilkit.comparison.wording import Show, visible
from distilkit.evaluation.bounds import DRAWS, is_exact
from distilkit.evaluation.measures import as_measure

SENTENCES = 8
"""More comparisons than this are counted, not told."""

_ORDER = {"run": 0, "file": 0, "twin": 1, "teacher": 2, "bm25": 3}
_LISTED = 6
"""More systems than this are summed up where a line would list them."""
_LEVEL = "p < 0.05, uncorrected"


def verdicts(result: ComparisonResult, show: Show = visible, rest: str = "") -> list[str]:
    """Return a sentence per system and baseline, students first, and how the other comparisons ended.

    `rest` says where these are to be found.
    """
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for one in result.comparisons:
        pairs.setdefault((one.system, one.baseline), []).append(one)
    kinds = result.kinds
    rank = {name: place for place, name in enumerate(result.ranking)}

    def importance(pair: tuple[str, str]) -> tuple[int, bool, int]:
        system, baseline = pair
        return _ORDER.get(kinds.get(system, "file"), 0), baseline != result.reference, rank[system]

    order = sorted(pairs, key=importance)
    told = [_sentence(result, *pair, pairs[pair], show) for pair in order[:SENTENCES]]
    others = [one for pair in order[SENTENCES:] for one in pairs[pair]]
    told += [_counted(result, others, rest)] if others else []
    return told + _fixed_seeds(result, [(*pair, pairs[pair]) for pair in order[:SENTENCES]], show)


def verdict(result: ComparisonResult, one: Comparison) -> str:
    """Return what one comparison shows: better, worse, non-inferior or inconclusive, and whether equivalent."""
    if one.p is None:
        if one.wins == one.losses == 0:
            return "equal on every query"
        return f"{'higher' if one.mean_difference > 0 else 'lower'} by the same on every query, which cannot be tested"
    said, margin = result.outcome(one), wording.margin(result)
    if one.non_inferior and said != BETTER:
        said = f"{WORSE}, yet {margin}" if said == WORSE else margin
    if one.equivalent is not None:
        said += f", {'' if one.equivalent else 'not shown to be '}{wording.within(result)}"
    return said


def _sentence(result: ComparisonResult, system: str, baseline: str, rows: Sequence[Comparison], show: Show) -> str:
    """Return what one system's comparisons with a baseline show, measures of one outcome together."""
    told: dict[str, list[str]] = {}
    for one in rows:
        measure, difference = show(result.label((one.set, one.measure))), wording.signed(one.mean_difference)
        figures = f"{measure} {difference}"
        if one.p_adjusted is not None:
            figures = f"{measure} {difference} {_interval(result, one)}, p {_short(one.p_adjusted)}"
        told.setdefault(verdict(result, one), []).append(figures)
    parts = [f"{said} ({'; '.join(figures)})" for said, figures in told.items()]
    return f"{show(result.short[system])} against {show(result.short[baseline])}: {'; '.join(parts)}."


def _fixed_seeds(
    result: ComparisonResult, told: Sequence[tuple[str, str, Sequence[Comparison]]], show: Show
) -> list[str]:
    """Return the sentence on the same comparisons with seeds fixed, as most papers test; none where seeds are one."""
    seeds = {one.name: one.seeds for one in result.systems}
    parts = []
    for system, baseline, rows in told:
        tested = [one for one in rows if one.fixed_seeds_p_adjusted is not None]
        if tested and max(seeds[system], seeds[baseline]) > 1:
            figures = [
                f"{show(result.label((one.set, one.measure)))} p {_short(p)}"
                for one in tested
                if (p := one.fixed_seeds_p_adjusted) is not None
            ]
            parts.append(f"{show(result.short[system])} against {show(result.short[baseline])} {', '.join(figures)}")
    if not parts:
        return []
    how = "a t-test over queries of each query's mean over the seeds"
    corrected = "uncorrected" if result.correction == "none" else "corrected in the same way"
    return [
        f"All p above speak of the methods: other queries and other seeds. With the seeds fixed, {how}, {corrected}, "
        f"speaks of these trained models and other queries alone: {'; '.join(parts)}."
    ]


def _interval(result: ComparisonResult, one: Comparison) -> str:
    """Return the interval that goes with a comparison's corrected p; one that does not is called uncorrected."""
    if result.correction == "none":
        return wording.interval(one)
    if not result.intervals_corrected:
        return f"{wording.interval(one)} uncorrected"
    return wording.interval(pairing.corrected_interval(one, max(result.alpha), result.family))


def _short(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def _counted(result: ComparisonResult, others: Sequence[Comparison], rest: str) -> str:
    counts = Counter(result.outcome(one) for one in others)
    parts = [f"{count} {name}" for name, count in counts.most_common()]
    return f"{len(others)} further comparisons: {', '.join(parts)}{f' ({rest})' if rest else ''}."


def legend(result: ComparisonResult, show: Show = visible) -> list[str]:
    """Return the sentences that explain the table of means; `show` writes names."""
    tested = [_letters(result, show), *_star(result, show), *_seeds(result)] if result.comparisons else []
    return [*tested, *_bounds(result)]


def columns(result: ComparisonResult) -> list[str]:
    """Return the sentences that explain the columns of the comparisons."""
    return [
        f"Difference: system - baseline over the same queries, with its {wording.level(result)} interval (not "
        "corrected); dz: Cohen's dz, the mean difference divided by its standard deviation; W/T/L: queries won, tied, "
        "lost; queries needed: to find a difference of this size with power 0.8 at p < 0.05; "
        f"{wording.NOTHING}: cannot be tested, since the difference does not vary.",
        *_margins(result),
    ]


def policy(result: ComparisonResult, show: Show = visible, files: int | None = None) -> list[str]:
    """Return the sentences on queries, order, files and what was left out; `show` writes names.

    Of more than `files` systems the files are left out.
    """
    orders = {(facts["order"], facts["scores"]) for facts in result.policies().values()}
    return [
        *(
            line
            for name, facts in result.policies().items()
            for line in _of_set(name, facts, show, result.short, files)
        ),
        *(f"Order of results: {order}. Scores: {scores}." for order, scores in orders),
        *(show(note) for note in result.notes),
    ]


def _of_set(name: str | None, facts: Policy, show_text: Show, short: Mapping[str, str], files: int | None) -> list[str]:

    def show(name: str) -> str:
        return show_text(short.get(name, name))

    judged = facts["queries"] == "judged"
    mode = "every judged query counts" if judged else f"those that every system answered; {facts['left_out']} left out"
    missing = "Judged queries without results" + (", scored 0" if judged else "")
    of_set = f" of the set {show_text(name)}" if name else ""
    return [
        f"Queries: {facts['n']}{of_set} ({mode}).",
        *_counts(missing, facts["missing"], show),
        *_counts("Queries with results but no judgements, ignored", facts["unjudged"], show),
        *_counts("Queries that are documents themselves, left out of their own results", facts["own"], show),
        *_judged(facts["judged"], show),
        *(_files(facts, show) if files is None or len(facts["runs"]) <= files else ()),
    ]


def _judged(facts: JudgedShares, show: Show) -> list[str]:
    shares = facts["systems"]
    if not shares:
        return []
    if len(shares) > _LISTED:
        least, most = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
        shares = {least: shares[least], most: shares[most]}
        text = " to ".join(f"{100 * share:.1f}% ({show(name)})" for name, share in shares.items())
    else:
        text = ", ".join(f"{show(name)} {100 * share:.1f}%" for name, share in shares.items())
    return [f"Judged@{facts['cutoff']} (the share of the first results that is judged): {text}."]


def _files(facts: Policy, show: Show) -> list[str]:
    parts = [f"judgements {' and '.join(facts['qrels'])}"] if facts["qrels"] else []
    parts += [f"{show(name)} {key}" for name, key in facts["runs"].items()]
    return [f"Files (sha256): {', '.join(parts)}."] if parts else []


def family(result: ComparisonResult, what: str = "p") -> str:
    """Return the sentence on the correction: how many comparisons it took in, and what it corrected."""
    count = f"{result.family} comparison{'' if result.family == 1 else 's'}"
    if result.correction == "none":
        return f"p of {count}, not corrected for their number"
    return f"{what} corrected by {wording.correction_name(result)} over {count}"


def _bounds(result: ComparisonResult) -> list[str]:
    """Return the sentence on chance and ceiling, and which of it was drawn."""
    if not result.bounds:
        return []
    drawn = list(dict.fromkeys(one.measure for one in result.bounds if not is_exact(as_measure(one.measure))))
    how = f" (of {', '.join(drawn)} the mean of {DRAWS} fixed draws)" if drawn else ""
    return [
        f"chance: the candidates in random order, the expected value{how}; ceiling: the relevant candidates first, the "
        "best that any re-ranker of them can reach. Neither is tested."
    ]


def _letters(result: ComparisonResult, show: Show) -> str:
    """Return the line that says what the letters mean."""
    two = len(result.alpha) > 1
    pairs = [
        f"{letter.upper() if two else letter} ({show(result.short[name])})" for name, letter in result.letters.items()
    ]
    strength = f"p < {max(result.alpha):g}"
    if two:
        strength = f"capital p < {min(result.alpha):g}, small {strength}"
    what = "p and intervals in sentences" if result.intervals_corrected else "p"
    return (
        f"Superscripts: significantly different from {', '.join(pairs)}; {strength} "
        f"({wording.test_name(result)}, {family(result, what)})."
    )


def _star(result: ComparisonResult, show: Show) -> list[str]:
    if not any(one.baseline == result.reference for one in result.comparisons):
        return []
    what = f"non-inferior to {show(result.short[result.reference])} ({wording.amount(result)}"
    return [f"*: {what}; one-sided t-test, {_LEVEL})."]


def _seeds(result: ComparisonResult) -> list[str]:
    if all(one.seeds == 1 for one in result.systems):
        return []
    spread = "± is the standard deviation between the seeds' means"
    if result.seeds == HIERARCHICAL:
        how = "the tests, those of the stars too, ask whether a result would hold for other queries and other seeds"
        return [f"Several seeds of a system are one row: {how}; {spread}."]
    return [f"Several seeds of a system are one row: each query's mean over the seeds counts; {spread}."]


def _margins(result: ComparisonResult) -> list[str]:
    relative = result.margin_kind == "relative"
    bound = f"above {100 * (1 - result.margin):.4g} %" if relative else f"above the baseline - {result.margin:.4g}"
    of = " of the baseline" if relative else ""
    lines = [f"{wording.margin(result)}: one-sided t-test that the system is {bound}{of}, {_LEVEL}."]
    if result.equivalence:
        lines.append(
            f"{wording.within(result)}: two one-sided t-tests that the system is neither worse nor "
            f"better than the baseline by the margin, {_LEVEL}."
        )
    return lines


def _counts(what: str, counts: dict[str, int], show: Show) -> list[str]:
    some = [f"{show(name)} {count}" for name, count in counts.items() if count]
    return [f"{what}: {', '.join(some)}."] if some else []
