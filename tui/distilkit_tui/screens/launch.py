"""Starts a run: recipes by paper, a form of their keys, the plan, and a process that outlives the application."""

import asyncio
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from distilkit.errors import UserError
from distilkit_tui.core.control import Child
from distilkit_tui.core.planning import DryRun, view
from distilkit_tui.core.recipes import Choice, Draft, choices, paper
from distilkit_tui.core.store import Snapshot
from distilkit_tui.core.text import safe
from distilkit_tui.keys import bindings
from distilkit_tui.screens.base import BaseScreen
from distilkit_tui.screens.dialogs import Pick
from distilkit_tui.widgets.form import Form
from distilkit_tui.widgets.plan import PlanPane
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

PANES = ("recipes", "form", "plan")
GROUP = "§ "


class LaunchScreen(BaseScreen):
    """The place to start runs and suites from."""

    MODE = "launch"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("launch")]

    def __init__(self) -> None:
        super().__init__()
        self._pane = "recipes"
        self._choices: dict[str, Choice] = {}
        self._draft: Draft | None = None
        # What was changed of each recipe stays while another one is looked at.
        self._drafts: dict[str, Draft] = {}
        self._planned: Draft | None = None
        self._run: DryRun | None = None
        self._started: tuple[Draft, Child] | None = None

    def body(self) -> ComposeResult:
        """Recipes, form, plan, and the command line that would do the same."""
        with Horizontal(id="panes"):
            yield VirtualTable((Column("recipe", 20, grow=1, middle=True), Column("", 5)), "no recipes", id="recipes")
            with Vertical(id="right"):
                yield Form(id="form")
                yield PlanPane(id="plan")
        yield Static("", id="line", markup=False)

    def on_mount(self) -> None:
        """Read the recipes."""
        self._go("recipes")
        self._read()
        self.set_interval(0.5, self._follow)

    def on_screen_resume(self) -> None:
        """Read the recipes again, which are files that one edits, and look for a free name, if one was taken."""
        super().on_screen_resume()
        if self._choices:
            self._read()
        if self._draft is not None and (self.runs_dir / self._draft.name).exists():
            self._take(self._draft.with_value("name", None).named_freely(self.runs_dir))

    @property
    def recipes(self) -> VirtualTable:
        """The table of recipes."""
        return self.query_one("#recipes", VirtualTable)

    @property
    def form(self) -> Form:
        """The form."""
        return self.query_one(Form)

    @property
    def plan(self) -> PlanPane:
        """The plan."""
        return self.query_one(PlanPane)

    @property
    def runs_dir(self) -> Path:
        """Where runs go."""
        return self.main.store.runs_dir

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Go to the run that was started here, as soon as there is one."""
        self._follow()

    def _follow(self) -> None:
        if self._started is None:
            return
        draft, child = self._started
        entries = self.main.snapshot.entries
        found = [key for key in entries if key == draft.name or key.startswith(f"{draft.name}/")]
        if found:
            self._started = None
            self.main.current = found[0]
            self.run_worker(self.main.action_mode("runs" if draft.choice.suite else "run"))
        elif child.process.returncode is not None:  # why, the application says
            self._started = None
            self._tell()

    @work(exclusive=True, group="recipes", exit_on_error=False)
    async def _read(self) -> None:
        """Read the recipes in a thread, and show them by paper."""
        found = await asyncio.to_thread(choices, Path.cwd())
        self._choices = {choice.name: choice for choice in found}
        keys = dict.fromkeys(key for choice in found for key in (f"{GROUP}{choice.group}", choice.name))
        self.recipes.show(list(keys), self._cells, f"no recipes in {Path.cwd()}")
        if found and self.recipes.cursor_key not in self._choices:
            self.recipes.go_to(found[0].name)
        self._choose()

    def _cells(self, key: str) -> list[Cell]:
        choice = self._choices.get(key)
        if choice is None:
            return [Styled(key.removeprefix(GROUP), "accent", bold=True), ""]
        if choice.problem:
            return [Styled(f"  ✗ {key}", "error"), ""]
        return [f"  {key}", "suite" if choice.suite else ""]

    @on(VirtualTable.Highlighted, "#recipes")
    def _highlighted(self) -> None:
        self._choose()

    @on(VirtualTable.Selected, "#recipes")
    def _selected(self) -> None:
        if self._draft is not None and not self._draft.choice.problem:
            self._go("form")

    def _choose(self) -> None:
        """Begin a draft of the recipe under the cursor, unless there is one."""
        choice = self._choices.get(self.recipes.cursor_key or "")
        if choice is None or (self._draft is not None and self._draft.choice == choice):
            return
        kept = self._drafts.get(choice.name)
        self._take(kept if kept is not None and kept.choice == choice else Draft(choice).named_freely(self.runs_dir))

    def _take(self, draft: Draft) -> None:
        """Show another draft."""
        self._draft = self._drafts[draft.choice.name] = draft
        self.form.show(draft.fields if draft.values else [], draft.values, draft.set_by)
        self.plan.stale(draft != self._planned)
        self._tell()

    def _tell(self) -> None:
        """Write what the recipe is, what is wrong with the draft, or the command line that does the same."""
        draft = self._draft
        if draft is None:
            return
        text = Text(overflow="fold")
        if draft.problem:
            text.append(f"✗ {safe(draft.problem)}", style=self.app.theme_variables["error"])
        else:
            about = f"started {draft.name}; waiting for it" if self._started else draft.choice.description
            text.append(f"{safe(about)}\n" if about else "", style="dim")
            text.append(f"$ {safe(draft.command(self.runs_dir))}", style="bold")
        self.query_one("#line", Static).update(text)

    @on(Form.Tried)
    def _tried(self, event: Form.Tried) -> None:
        if self._draft is not None:
            self.form.judge(self._draft.with_value(event.key, event.text).problem)

    @on(Form.Set)
    def _set(self, event: Form.Set) -> None:
        """Take a value in, unless it is wrong."""
        if self._draft is None:
            return
        changed = self._draft.with_value(event.key, event.text)
        if changed.problem and changed.problem != self._draft.problem:
            self.app.notify(changed.problem, severity="warning", markup=False)
            return
        self.form.finish()
        self._take(changed)

    @on(Form.Choose)
    @work
    async def _pick(self, event: Form.Choose) -> None:
        draft = self._draft
        if draft is None:
            return
        field = next(one for one in draft.fields if one.key == event.key)
        known = [(one, _about(event.key, one)) for one in field.choices]
        chosen = await self.app.push_screen_wait(Pick(event.key, known, draft.values.get(event.key, "")))
        if chosen is not None:
            self.post_message(Form.Set(event.key, chosen))

    @on(Form.Left)
    def _left(self) -> None:
        self._go("recipes")

    def action_find(self) -> None:
        """Look for a key of the form."""
        self._go("form")
        self.form.action_find()

    def action_reset(self) -> None:
        """Take all changes back."""
        if self._draft is not None:
            self._take(Draft(self._draft.choice).named_freely(self.runs_dir))

    def action_copy(self) -> None:
        """Copy the command line that does the same."""
        if self._draft is not None:
            self.copy(self._draft.command(self.runs_dir))

    def action_plan(self) -> None:
        """Ask for the plan; an older one that is still being made is dropped."""
        draft = self._draft
        if draft is not None and not self._refused(draft):
            self._planned = draft
            self._go("plan")
            self._make_plan(draft)

    @work(exclusive=True, group="plan", exit_on_error=False)
    async def _make_plan(self, draft: Draft) -> None:
        """Show the plan of a dry run in a process of its own, or why there is none."""
        self.plan.wait(draft.name)
        run: DryRun | None = None
        try:
            self._run = run = DryRun(draft.arguments(self.runs_dir))
            self.plan.show(view(await asyncio.to_thread(run.result), self.runs_dir))
        except UserError as error:
            self.plan.refuse(str(error))
        finally:  # also where one does not wait for it
            if run is not None:
                run.kill()
            if self._run is run:
                self._run = None
        self.plan.stale(self._draft != self._planned)

    def action_start(self) -> None:
        """Start a process of its own, and go to its run when it is there."""
        draft = self._draft
        if draft is None or self._refused(draft):
            return
        if (self.runs_dir / draft.name).exists():
            self.warn(f"{self.runs_dir / draft.name} exists; give the run another name")
            return
        try:
            child = self.main.launcher.start(draft.arguments(self.runs_dir), draft.name)
        except UserError as error:
            self.warn(str(error))
            return
        self._started = (draft, child)
        self.main.store.hurry()
        self.app.notify(f"{draft.name} starts in a process of its own", markup=False)
        self._tell()

    def _refused(self, draft: Draft) -> bool:
        if draft.problem:
            self.warn(draft.problem)
        return bool(draft.problem)

    def action_pane(self, by: int) -> None:
        """Go to the next pane."""
        self._go(PANES[(PANES.index(self._pane) + by) % len(PANES)])

    def _go(self, pane: str) -> None:
        self._pane = pane
        for name in PANES:
            self.set_class(name == pane, f"at-{name}")
        {"recipes": self.recipes, "form": self.form.table, "plan": self.plan.table}[pane].focus()

    async def action_back(self) -> None:
        """Go back to the recipes, then to all runs."""
        if self._pane == "recipes":
            await self.main.action_mode("runs")
        else:
            self._go("recipes")


def _about(key: str, name: str) -> str:
    """Return a word on a choice: the paper of a strategy."""
    return paper(name) if key == "strategy.name" else ""
