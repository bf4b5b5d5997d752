"""The plan of a run: its stages, how long they take, what is there already, and how much room there is."""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from distilkit.tables import size
from distilkit_tui.core.planning import PlanStep, PlanView
from distilkit_tui.core.text import duration, safe
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

COLUMNS = (
    Column("stage", 20, grow=2),
    Column("cached", 8),
    Column("steps", 7, align="right"),
    Column("time", 7, align="right"),
    Column("examples", 8, align="right", rank=2),
    Column("losses", 18, grow=2, rank=1),
)
ASK = "press d for the plan: stages, steps, what is cached; nothing is trained"


class PlanPane(Vertical):
    """Shows a PlanView, that one is being made, or why there is none."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._steps: dict[str, PlanStep] = {}
        self._text = Text()

    def compose(self) -> ComposeResult:
        """Steps, and what they come to."""
        yield VirtualTable(COLUMNS, ASK)
        yield Static("", id="total", markup=False)

    @property
    def table(self) -> VirtualTable:
        """The table of steps."""
        return self.query_one(VirtualTable)

    def show(self, plan: PlanView) -> None:
        """Show a plan."""
        self._steps = {f"{number}": step for number, step in enumerate(plan.steps)}
        self.table.show(list(self._steps), self._cells, "nothing to train")
        lines = [Text(f"{plan.to_train} steps to train{_time(plan)}", style="bold")]
        lines[0].append(f" · {size(plan.free)} free on the disk", style="not bold")
        lines += [Text(safe(fact)) for fact in plan.facts]
        self._say(Text("\n").join(lines))

    def wait(self, name: str) -> None:
        """Say that a plan is being made."""
        self._clear(f"planning {name}: the collection is read, which takes a while the first time …")

    def refuse(self, problem: str) -> None:
        """Say why there is no plan."""
        self._clear("no plan")
        self._say(Text(f"✗ {safe(problem)}", style=self.app.theme_variables["error"]))

    def stale(self, stale: bool) -> None:
        """Say that the plan is of a draft that has changed since, or that it is not."""
        note = " (made before the last changes; press d to plan again)" if stale and self._steps else ""
        self.query_one("#total", Static).update(Text.assemble(self._text, note))

    def _clear(self, note: str) -> None:
        self._steps = {}
        self.table.show([], self._cells, note)
        self._say(Text())

    def _say(self, text: Text) -> None:
        self._text = text
        self.query_one("#total", Static).update(text)

    def _cells(self, key: str) -> list[Cell]:
        step = self._steps[key]
        cached = Styled("✓ yes", "success") if step.cached else Styled("○ no", "accent")
        if step.shared:
            cached = Styled("↺ shared", "text-muted")
        return [step.what, cached, _count(step.steps), duration(step.seconds), _count(step.examples), step.losses]


def _time(plan: PlanView) -> str:
    """Return what is known of the time: by the rates of past runs, some stages left out where there were none."""
    if not plan.to_train:
        return ""
    if plan.seconds is None:
        return " · no past run like it, so its time is not known"
    more = f" and {plan.unknown} stage{'s' if plan.unknown > 1 else ''} of unknown time" if plan.unknown else ""
    return f" · about {duration(plan.seconds)}{more}, at the speed of past runs"


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
