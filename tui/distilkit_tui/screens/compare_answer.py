"""The tab of the answer: what to take, what is best, what is non-inferior, and the forest plot behind it."""

from collections.abc import Callable, Sequence
from functools import partial

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from distilkit.comparison import answer_words, forest, wording
from distilkit.comparison.answer import Answer, ForestLine
from distilkit.comparison.forest import Scale
from distilkit.comparison.result import ComparisonResult
from distilkit.run_folders.names import fitted
from distilkit_tui.core.text import safe
from distilkit_tui.screens.compare_view import ComparisonView, Pane
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

VERDICTS = {"better": ("▲", "success"), "worse": ("▼", "error"), "inconclusive": ("?", "text-muted")}
ROLES = {"decides": "primary", "interval": "foreground", "point": "accent", "band": "text-muted", "zero": "text-muted"}
# The columns of names, and those of a screen that is too narrow for more of them.
NAMES = (22, 40, 60)
NARROW, USUAL = 100, 140


class AnswerPane(Pane):
    """The answer in words, a line a system, and how the lines are read."""

    def compose(self) -> ComposeResult:
        """Words, plot, legend."""
        yield Static("", id="answer-words", markup=False)
        yield VirtualTable(empty="comparing …", id="forest")
        yield Static("", id="answer-legend", markup=False)

    def look(self, view: ComparisonView) -> None:
        """Show a result."""
        result, found = view.result, view.result.answer
        told = Text()
        for lead, text in answer_words.answer(result, safe):
            told.append(f"{lead}: ", "bold").append(f"{text}\n")
        self.query_one("#answer-words", Static).update(told[:-1] if told else told)
        if found is None or len(found.ranking) < 2:
            self.table.show([], lambda key: [key], "a single system: mark runs with space on screen 1")
            return
        self._show(result, found)
        self.table.go_to(view.system)
        legend = Text(style="dim")
        for role, text in answer_words.plot_legend(result):
            legend.append(f"{forest.SIGNS[role]} {text}  ")
        self.query_one("#answer-legend", Static).update(legend)

    def _show(self, result: ComparisonResult, found: Answer) -> None:
        against = safe(result.short[found.baseline])
        within, lines = forest.scale(found), {line.name: line for line in found.forest}
        width = self.app.size.width
        room = NAMES[(width >= NARROW) + (width >= USUAL)]
        names = fitted([safe(result.short[name]) for name in found.ranking], room)
        verdicts = {name: answer_words.verdict(result, line) for name, line in lines.items()}
        self.table.columns = (
            Column("", 1),
            Column("system", max(map(cell_len, names.values()))),
            Column(safe(result.label((found.set, found.measure)))[:8], 8, "right", rank=3),
            Column("diff.", 7, "right", rank=2),
            Column(f"difference to {against}: {within.low:+.2g} … {within.high:+.2g}", 16, grow=1),
            Column("verdict", max(map(len, verdicts.values()))),
        )

        def cells(name: str) -> list[Cell]:
            line = lines[name]
            baseline = name == found.baseline
            sign = Styled("◆", "accent") if baseline else Styled(*_sign(line))
            return [
                sign,
                names[safe(result.short[name])],
                wording.number(line.mean),
                "" if baseline else wording.signed(line.difference),
                _drawn(found, line, within),
                Styled(verdicts[name], _sign(line)[1]) if not baseline else verdicts[name],
            ]

        self.table.show(list(found.ranking), cells)

    @on(VirtualTable.Highlighted)
    def _moved(self, event: VirtualTable.Highlighted) -> None:
        if self.table.has_focus:
            self.post_message(self.Chosen(event.key))

    @on(VirtualTable.Selected)
    def _open(self, event: VirtualTable.Selected) -> None:
        self.post_message(self.Opened(event.key))


def _sign(line: ForestLine) -> tuple[str, str]:
    """Return the sign and colour of a line's verdict."""
    if line.verdict != "better" and line.non_inferior:
        return "✓", "success"
    return VERDICTS.get(line.verdict, ("·", "text-muted"))


def _drawn(found: Answer, line: ForestLine, within: Scale) -> Callable[[int], Sequence[Styled]]:
    return partial(_pieces, found, line, within)


def _pieces(found: Answer, line: ForestLine, within: Scale, width: int) -> list[Styled]:
    drawn = forest.drawn(found, line, within, width)
    return [Styled(text, ROLES.get(role, "")) for text, role in forest.segments(drawn)]
