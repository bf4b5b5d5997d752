"""The line at the top: which screen this is, which there are, and how many runs go on."""

from rich.text import Text
from textual.widget import Widget

from distilkit_tui.core.text import safe, short

TITLES = {"runs": "Runs", "run": "Run", "launch": "Launch", "compare": "Compare"}


class TopBar(Widget, can_focus=False):
    """Names the screens by their keys, the shown one in brackets."""

    DEFAULT_CSS = """
    TopBar { dock: top; height: 1; background: $panel; color: $foreground; }
    """

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode
        self._facts = ""

    def tell(self, facts: str) -> None:
        """Show something at the right."""
        if facts != self._facts:
            self._facts = facts
            self.refresh()

    def render(self) -> Text:
        """Return the line."""
        line = Text(" distilkit ", style="bold", no_wrap=True, overflow="ellipsis")
        for number, (mode, title) in enumerate(TITLES.items(), 1):
            here = mode == self._mode
            line.append(f"[{number} {title}]" if here else f" {number} {title} ", style="bold reverse" if here else "")
        room = self.size.width - line.cell_len - 2
        facts = short(safe(self._facts), max(room, 0)) if room > 4 else ""
        line.append(facts.rjust(room + 1) if facts else "")
        return line
