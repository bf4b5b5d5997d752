"""The application: its screens, what they share, and the thread that keeps it up to date."""

import asyncio
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from textual import work
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.message import Message
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from distilkit.errors import RunFailed
from distilkit_tui.core import preferences
from distilkit_tui.core.control import Launcher
from distilkit_tui.core.preferences import Preferences
from distilkit_tui.core.store import RunStore, Snapshot
from distilkit_tui.core.text import safe
from distilkit_tui.keys import KEYS, bindings, name
from distilkit_tui.screens.base import BaseScreen
from distilkit_tui.screens.dialogs import Help
from distilkit_tui.themes import DARK, LIGHT

# Seconds between two looks at the run folders.
EVERY = 0.5
# Mode -> the class of its screen, in the module of its name, imported when it is first shown.
SCREENS = {"runs": "RunsScreen", "run": "RunScreen", "launch": "LaunchScreen", "compare": "CompareScreen"}


def _screen(mode: str) -> Screen[Any]:
    found: Screen[Any] = getattr(import_module(f"distilkit_tui.screens.{mode}"), SCREENS[mode])()
    return found


class DistilkitApp(App[None]):
    """Follows, starts and compares the runs of one folder.

    Shared by the screens: `snapshot` (all runs now), `store` (their curves), `current` (the key of the run that is
    looked at), `marks` and `baselines` (keys, in the order in which they were marked), `launcher` (starts processes),
    `stopping` (keys that were asked to stop), `preferences` (kept in the file `keep`, where there is one).
    """

    TITLE = "distilkit"
    CSS_PATH = "app.tcss"
    DEFAULT_MODE = "runs"
    ENABLE_COMMAND_PALETTE = True
    AUTO_FOCUS = None
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {mode: partial(_screen, mode) for mode in SCREENS}
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]

    class RunsChanged(Message):
        """The runs are not what they were."""

        def __init__(self, snapshot: Snapshot) -> None:
            super().__init__()
            self.snapshot = snapshot

        def can_replace(self, message: Message) -> bool:
            """Of those that wait, only the newest matters."""
            return isinstance(message, type(self))

    def __init__(self, runs_dir: Path, keep: Path | None = None) -> None:
        super().__init__()
        self._keep = keep
        self.preferences = preferences.read(keep) if keep is not None else Preferences()
        self.store = RunStore(runs_dir)
        self.snapshot = Snapshot()
        self.current: str | None = None
        self.marks: list[str] = []
        self.baselines: list[str] = []
        self.stopping: set[str] = set()
        self.launcher = Launcher(runs_dir)
        self.paused = False
        self._colours: dict[str, int] = {}
        self._leaving = threading.Event()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        chosen = self.preferences.theme
        self.theme = chosen if chosen in self.available_themes else DARK.name

    def on_mount(self) -> None:
        """Start to look, at the runs and at the processes that were started here."""
        self.theme_changed_signal.subscribe(self, lambda theme: self.prefer(theme=theme.name))
        self._look()
        self.set_interval(EVERY, self._bury)

    def on_unmount(self) -> None:
        """Let the looking thread end, which would keep the process alive."""
        self._leaving.set()

    @work(thread=True, exit_on_error=False, group="look")
    def _look(self) -> None:
        shown = -1
        while not self._leaving.is_set():
            snapshot = self.store.poll()
            if snapshot.version != shown and not self.paused:
                shown = snapshot.version
                self.post_message(self.RunsChanged(snapshot))
            self._leaving.wait(0.02 if self.store.behind else EVERY)

    def on_distilkit_app_runs_changed(self, message: RunsChanged) -> None:
        """Pass the news on to the screen in sight."""
        self.snapshot = message.snapshot
        known = self.snapshot.entries
        if not self.snapshot.problem:
            gone = [key for key in self.marks if key not in known]
            self.marks = [key for key in self.marks if key in known]
            self.baselines = [key for key in self.baselines if key in known]
            if gone:
                self.notify(f"deleted, and so no longer marked: {', '.join(gone)}", severity="warning", markup=False)
        self.stopping = {key for key in self.stopping if key in known and known[key].live}
        self.tell_screen()

    def tell_screen(self) -> None:
        """Let the screen in sight, below any question, show the runs and marks as they are now."""
        for screen in self.screen_stack[:1]:  # none any more while the application ends
            if isinstance(screen, BaseScreen) and screen.is_mounted and screen.is_attached:
                screen.news(self.snapshot)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say what went wrong in a thread, which would die in silence, and look again."""
        if event.state == WorkerState.ERROR:
            self.notify(str(event.worker.error), title="something went wrong", severity="error", markup=False)
            if event.worker.group == "look":
                self.set_timer(5.0, self._look)

    def notify(self, message: str, **options: Any) -> None:
        """Show a notice; what does not print is spelled out, whoever wrote it."""
        super().notify(safe(message), **options)

    def prefer(self, **changes: Any) -> None:
        """Take other preferences, and keep them for the next start."""
        changed = replace(self.preferences, **changes)
        if changed != self.preferences:
            self.preferences = changed
            if self._keep is not None:
                self._write(self._keep, changed)

    @work(exclusive=True, group="preferences", exit_on_error=False)
    async def _write(self, path: Path, changed: Preferences) -> None:
        try:
            await asyncio.to_thread(preferences.write, path, changed)
        except OSError as error:
            self.notify(f"{path} cannot be written: {error.strerror}", severity="warning", markup=False)

    async def action_mode(self, mode: str) -> None:
        """Show another screen."""
        await self.switch_mode(mode)

    def action_pause(self) -> None:
        """Hold the picture still, or let it go on."""
        self.paused = not self.paused
        self.tell_screen()

    def action_toggle_light(self) -> None:
        """Change between the dark and the light theme."""
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help(self.current_mode))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Offer every key of this place and the next, themes and the rest, by name."""
        for place in dict.fromkeys((self.current_mode, "app")):
            for key in KEYS.get(place, ("", ()))[1]:
                if key.action:
                    target = screen if place == self.current_mode else self
                    run = partial(self.run_action, key.action, target)
                    yield SystemCommand(f"{key.help[0].upper()}{key.help[1:]}", f"key {name(key)}", run)
        yield from super().get_system_commands(screen)

    def colours(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the numbers of runs' colours among curves, no two alike; marked runs keep theirs."""
        self._colours = {key: self._colours[key] for key in self.marks if key in self._colours}
        found: dict[str, int] = {}
        for key in keys:
            taken = {*self._colours.values(), *found.values()}
            found[key] = self._colours.get(key, next(number for number in count() if number not in taken))
            if key in self.marks:
                self._colours[key] = found[key]
        return found

    def _bury(self) -> None:
        """Say how processes failed that were started here and have left no run to tell of it."""
        for child in self.launcher.ended():
            self.store.hurry()
            if child.process.returncode not in (0, 130):
                words = child.last_words or f"it ended with code {child.process.returncode}"
                self.notify(words, title=child.label, severity="error", timeout=15, markup=False)

    def toggle_mark(self, key: str) -> None:
        """Mark a run, or take its mark away."""
        self.marks.remove(key) if key in self.marks else self.marks.append(key)
        self.tell_screen()

    def toggle_baseline(self, key: str) -> None:
        """Make a run a baseline, marked too, or none any more."""
        if key in self.baselines:
            self.baselines.remove(key)
        else:
            self.baselines.append(key)
            if key not in self.marks:
                self.marks.append(key)
        self.tell_screen()


def run(runs_dir: Path) -> None:
    """Show the runs of a folder until the user leaves; raises RunFailed where the application broke."""
    app = DistilkitApp(runs_dir, preferences.place())
    app.run()
    if app.return_code:
        raise RunFailed("the terminal interface failed; the runs continue")
