"""What every screen of a mode has: the line at the top, the keys at the bottom, and news of the runs."""

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer

from distilkit_tui.core.store import Snapshot
from distilkit_tui.widgets.top_bar import TopBar

if TYPE_CHECKING:
    from distilkit_tui.app import DistilkitApp


class BaseScreen(Screen[None]):
    """A screen of a mode. Give `MODE`, the widgets in `body`, and what to do with news in `runs_changed`."""

    MODE: ClassVar[str] = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012

    @property
    def main(self) -> "DistilkitApp":
        """The application, with what the screens share: runs, marks, baselines, the run that is looked at."""
        return cast("DistilkitApp", self.app)

    def compose(self) -> ComposeResult:
        """Put the body between the two lines."""
        yield TopBar(self.MODE)
        yield from self.body()
        yield Footer(show_command_palette=False, compact=True)

    def body(self) -> ComposeResult:
        """Yield what stands between the lines."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was shown."""
        self.news(self.main.snapshot)

    def news(self, snapshot: Snapshot) -> None:
        """Take in the runs as they are now; called for the screen in sight alone, in the application's thread."""
        live, runs = snapshot.live, len(snapshot.entries)
        paused = "held still · " if self.main.paused else ""
        self.query_one(TopBar).tell(f"{paused}{live} live of {runs} · {self.main.store.runs_dir}")
        self.runs_changed(snapshot)

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Show the runs as they are now."""
