"""What the tabs of the comparison share: the answer, and which measure, baseline and system are looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from textual import on
from textual.containers import Vertical
from textual.message import Message

from distilkit.comparison.result import Column, Comparison, ComparisonResult
from distilkit.run_folders.names import fitted
from distilkit_tui.core.entry import Entry
from distilkit_tui.core.text import safe
from distilkit_tui.widgets.table import VirtualTable


@dataclass(frozen=True)
class ComparisonView:
    """A result, and what of it is looked at: the numbers of a column and a baseline, and a system's name."""

    result: ComparisonResult
    column_number: int = 0
    baseline_number: int = 0
    chosen: str = ""

    @property
    def column(self) -> Column:
        """The query set and measure."""
        columns = self.result.columns
        return columns[self.column_number % len(columns)]

    @property
    def label(self) -> str:
        """The measure in words."""
        return self.result.label(self.column)

    @property
    def names(self) -> dict[str, str]:
        """The systems' short names."""
        return self.result.short

    def names_within(self, width: int) -> dict[str, str]:
        """Return the systems' short names in at most `width` characters, so that they still differ, safe to show."""
        shown = {name: safe(short) for name, short in self.names.items()}
        cut = fitted(list(shown.values()), width)
        return {name: cut[short] for name, short in shown.items()}

    @property
    def baseline(self) -> str:
        """The baseline that systems are held against: those that none is compared with are passed over."""
        compared = {one.baseline for one in self.result.comparisons}
        named = [name for name in self.result.baselines if name in compared] or self.result.baselines
        return named[self.baseline_number % len(named)]

    @property
    def others(self) -> list[str]:
        """The systems but the baseline, the best first."""
        return [name for name in self.result.ranking if name != self.baseline]

    @property
    def system(self) -> str:
        """The system that is looked at: the chosen one, else the recommended or best one that is not a baseline."""
        names, answer = self.result.names, self.result.answer
        if self.chosen in names:
            return self.chosen
        recommended = answer.recommended if answer is not None else None
        return recommended if recommended in self.others else (self.others or names)[0]

    @property
    def pair(self) -> tuple[str, str]:
        """The system and the baseline; the baseline itself is held against another system."""
        system = (self.others or [self.baseline])[0] if self.system == self.baseline else self.system
        return system, self.baseline

    @property
    def comparisons(self) -> list[Comparison]:
        """The comparisons with the baseline on the measure."""
        here = [one for one in self.result.comparisons if (one.set, one.measure) == self.column]
        return [one for one in here if one.baseline == self.baseline]

    def step(self, by: int) -> "ComparisonView":
        """Return the view of the next system but the baseline."""
        names = self.others
        place = (names.index(self.pair[0]) + by) % len(names) if self.pair[0] in names else 0
        return replace(self, chosen=names[place]) if names else self


class Pane(Vertical):
    """A tab of the comparison; `look` and `show` are called when it, or what it shows, comes into sight."""

    class _About(Message):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class Chosen(_About):
        """Another system is looked at."""

    class Opened(_About):
        """What is under the cursor is to be opened: a system, or a query."""

    @property
    def table(self) -> VirtualTable:
        """The table, where the tab has one."""
        return self.query_one(VirtualTable)

    def look(self, view: ComparisonView) -> None:
        """Show what the comparison comes to."""

    def show(self, entries: Sequence[Entry]) -> None:
        """Show the runs compared as they are now."""


class SystemsPane(Pane):
    """A tab whose table has a row a system, the `systems`, and others that nothing more is known of."""

    systems: tuple[str, ...] = ()

    @on(VirtualTable.Highlighted)
    def _moved(self, event: VirtualTable.Highlighted) -> None:
        if self.table.has_focus and event.key in self.systems:
            self.post_message(self.Chosen(event.key))
