"""A log that follows its end until one scrolls away from it."""

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from distilkit_tui.core.tail import Log
from distilkit_tui.core.text import fit, safe


class LogView(ScrollView, can_focus=True):
    """Shows a Log: `view.show(log)`, again whenever it may have grown. Not following, it counts the new lines."""

    DEFAULT_CSS = """
    LogView { background: $surface; color: $foreground; }
    LogView > .log--new { background: $accent; color: $background; text-style: bold; }
    LogView > .log--bad { color: $error; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"log--new", "log--bad"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
        Binding("G", "follow", show=False),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.following = True
        self._log: Log | None = None
        self._lines: list[str] = []
        self._dropped = self._seen = self._width = 0

    @property
    def unseen(self) -> int:
        """How many lines have come since one scrolled away from the end."""
        return 0 if self.following else max(0, self._dropped + len(self._lines) - self._seen)

    def show(self, log: Log) -> None:
        """Show a log as it is now."""
        with log.lock:
            lines, dropped = list(log.lines), log.dropped
        if log is not self._log:
            self._log, self._width, self.following = log, 0, True
        elif (len(lines), dropped) == (len(self._lines), self._dropped):
            return
        fresh = lines[max(0, self._dropped + len(self._lines) - dropped) :] if self._width else lines
        self._lines, self._dropped = lines, dropped
        self._width = max([self._width, *(cell_len(safe(line)) for line in fresh)])
        self.virtual_size = Size(self._width, len(lines))
        if self.following:
            self._seen = dropped + len(lines)
            self._stay_at_end()
        self.refresh()

    def on_resize(self) -> None:
        """Stay at the end."""
        self._stay_at_end()

    def _stay_at_end(self) -> None:
        """Scroll to the end now, and again after the layout that may be on its way, which moves the end."""

        def scroll() -> None:
            if not self.following:
                return
            self.scroll_to(y=self.max_scroll_y, animate=False, force=True, immediate=True)
            self.watch_show_vertical_scrollbar()

        scroll()
        self.call_after_refresh(scroll)

    def watch_show_vertical_scrollbar(self) -> None:
        """Tell the scroll bar what was scrolled before it was there."""
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.position = self.scroll_y

    def action_follow(self) -> None:
        """Go to the end and stay there."""
        self.following = True
        self._seen = self._dropped + len(self._lines)
        self._stay_at_end()
        self.refresh()

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Follow again once one is back at the end."""
        super().watch_scroll_y(old, new)
        if new > old and new >= self.max_scroll_y:
            self.following, self._seen = True, self._dropped + len(self._lines)
        self.refresh()

    def _look_back(self) -> None:
        # Not where the place itself changes: a layout moves it too.
        if self.following and self.max_scroll_y:
            self.following, self.scroll_y = False, self.max_scroll_y

    def action_scroll_up(self) -> None:
        """Look at the line above; follow no longer."""
        self._look_back()
        super().action_scroll_up()

    def action_page_up(self) -> None:
        """Look at the page above; follow no longer."""
        self._look_back()
        super().action_page_up()

    def action_scroll_home(self) -> None:
        """Look at the beginning; follow no longer."""
        self._look_back()
        super().action_scroll_home()

    def on_mouse_scroll_up(self) -> None:
        """Follow no longer."""
        self._look_back()

    def on_scroll_to(self) -> None:
        """Follow no longer once the scroll bar is pulled; at its end it is taken up again."""
        self._look_back()

    def render_line(self, y: int) -> Strip:
        """Return one line, or the count of new ones at the bottom."""
        width, style = self.size.width, self.rich_style
        if self.unseen and y == self.size.height - 1:
            text = f" {self.unseen} new line{'s' if self.unseen > 1 else ''}: press f to follow "
            return Strip([Segment(fit(text, width), self.get_component_rich_style("log--new"))])
        # The place of the scroll bar may lag behind a layout; the end of what is followed must not.
        top = max(0, len(self._lines) - self.size.height) if self.following else self.scroll_offset.y
        place = y + top
        if place >= len(self._lines):
            text = "  nothing has been logged yet" if not self._lines and y == 0 else ""
            return Strip([Segment(fit(text, width), style + Style(dim=True))])
        line = safe(self._lines[place])
        failed = any(word in line for word in (" failed: ", "Traceback", "Error"))
        shown = self.get_component_rich_style("log--bad") if failed else style
        strip = Strip([Segment(line, shown)])
        left = self.scroll_offset.x
        return strip.crop_extend(left, left + width, style)
