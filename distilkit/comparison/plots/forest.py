"""The forest plot as a figure: readable in grey, since lines differ in width and not in colour alone."""

from typing import TYPE_CHECKING

from distilkit.comparison import answer_words, forest
from distilkit.comparison.plots import style
from distilkit.comparison.result import ComparisonResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_forest(result: ComparisonResult) -> "Figure | None":
    """Return the differences to the answer's baseline, the best system on top; None for a single system."""
    answer = result.answer
    if answer is None or len(answer.ranking) < 2:
        return None
    within = forest.scale(answer)
    figure = style.figure(7.2, 1.1 + 0.19 * len(answer.forest))
    axes = figure.subplots()
    axes.axvspan(answer.margin_low, 0.0, color="#dddddd", linewidth=0)
    axes.axvline(0.0, color=style.BLACK, linewidth=0.8)
    for place, line in enumerate(answer.forest):
        if line.ci_low is not None and line.ci_high is not None:
            axes.plot([line.ci_low, line.ci_high], [place, place], color="#555555", linewidth=0.9)
        if line.margin_low is not None and line.margin_high is not None:
            axes.plot([line.margin_low, line.margin_high], [place, place], color=style.BLUE, linewidth=3)
        marker = "D" if line.name == answer.baseline else "o"
        axes.plot(line.difference, place, marker, color=style.BLACK, markersize=4, zorder=3)
        for beyond, edge, sign in zip(forest.beyond(line, within), (within.low, within.high), "<>", strict=True):
            if beyond:
                axes.plot(edge, place, sign, color=style.BLACK, markersize=5, zorder=3, clip_on=False)
    axes.set_xlim(within.low, within.high)
    axes.set_ylim(len(answer.forest) - 0.4, -0.6)
    axes.set_yticks(range(len(answer.forest)), [style.named(result.short[line.name]) for line in answer.forest])
    verdicts = axes.secondary_yaxis("right")
    verdicts.set_yticks(
        range(len(answer.forest)), [answer_words.verdict(result, line) for line in answer.forest], fontsize=8
    )
    verdicts.tick_params(length=0)
    verdicts.spines["right"].set_visible(False)
    axes.grid(axis="y", visible=False)
    told = "; ".join(
        f"{forest.DRAWN[role]}: {text.partition(':')[0]}" for role, text in answer_words.plot_legend(result)
    )
    axes.set_xlabel(f"{answer_words.plot_title(result, answer)}\n{told}", fontsize=8)
    return figure
