"""A form: keys with their values in a table, help on the key under the cursor, and a line to type a value into."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from distilkit.recipe_keys import Field
from distilkit_tui.core.text import safe
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

COLUMNS = (
    Column("key", 28, grow=1),
    Column("value", 18, grow=3),
    Column("set by", 7),
    Column("takes", 16, grow=1, rank=1),
)
SECTION = "§"


class Form(Vertical):
    """Shows fields: `form.show(fields, values, by)`, where `by` says who set a key.

    Posts Tried while a value is typed, Set when it is entered (None: taken back) and Choose for a key with choices.
    The one who listens answers Tried with `judge`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("delete,backspace", "take_back", show=False),
        Binding("right,l", "turn(1)", show=False),
        Binding("left,h", "turn(-1)", show=False),
        Binding("escape", "leave", show=False),
    ]

    class _About(Message):
        def __init__(self, key: str, text: str | None) -> None:
            super().__init__()
            self.key, self.text = key, text

    class Tried(_About):
        """A value is being typed."""

    class Set(_About):
        """A value is wanted, or (None) the recipe's own again."""

    class Choose(_About):
        """One of a key's choices is to be picked."""

    class Left(Message):
        """One wants to leave the form."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._fields: dict[str, Field] = {}
        self._values: Mapping[str, str] = {}
        self._by: Mapping[str, str] = {}
        self._editing = self._filter = ""

    def compose(self) -> ComposeResult:
        """Filter, table, help, line to type into, what is wrong with it."""
        yield Input(placeholder="filter keys: words of a key, its help or its value", id="find")
        yield VirtualTable(COLUMNS, "choose a recipe", id="keys")
        yield Static("", id="about", markup=False)
        yield Input(id="value")
        yield Static("", id="verdict", markup=False)

    @property
    def table(self) -> VirtualTable:
        """The table of keys."""
        return self.query_one("#keys", VirtualTable)

    def show(self, fields: Sequence[Field], values: Mapping[str, str], by: Mapping[str, str]) -> None:
        """Show fields with their values."""
        self._fields = {field.key: field for field in fields}
        self._values, self._by = values, by
        self._fill()

    def judge(self, problem: str) -> None:
        """Say what is wrong with what is being typed; nothing if it is right."""
        verdict = self.query_one("#verdict", Static)
        verdict.set_class(bool(self._editing), "shown")
        style = self.app.theme_variables["error" if problem else "success"]
        verdict.update(Text(f"✗ {safe(problem)}" if problem else "✓ enter accepts it", style=style))

    def finish(self) -> None:
        """Put the line to type into away."""
        self._editing = ""
        for name in ("#value", "#verdict"):
            self.query_one(name).remove_class("shown")
        self.table.focus()

    def action_find(self) -> None:
        """Ask for words of a key, its help or its value; it works while they are typed."""
        box = self.query_one("#find", Input)
        box.add_class("shown")
        box.focus()

    def action_take_back(self) -> None:
        """Leave the key under the cursor to the recipe again."""
        if (field := self._field) is not None:
            self.post_message(self.Set(field.key, None))

    def action_turn(self, by: int) -> None:
        """Take the next choice of the key under the cursor."""
        field = self._field
        if field is not None and field.choices:
            now = self._values.get(field.key, "")
            place = field.choices.index(now) + by if now in field.choices else 0
            self.post_message(self.Set(field.key, field.choices[place % len(field.choices)]))

    def action_leave(self) -> None:
        """Leave what is being typed, then the filter, then the form."""
        box = self.query_one("#find", Input)
        if self._editing:
            self.finish()
        elif box.value or box.has_focus:
            box.value = ""
            box.remove_class("shown")
            self.table.focus()
        else:
            self.post_message(self.Left())

    @property
    def _field(self) -> Field | None:
        return self._fields.get(self.table.cursor_key or "")

    def _fill(self) -> None:
        keys: list[str] = []
        section = None
        for field in self._fields.values():
            if not self._matches(field):
                continue
            if field.section != section:
                section = field.section
                keys.append(f"{SECTION} {section}")
            keys.append(field.key)
        self.table.show(keys, self._cells, "no key matches the filter" if self._fields else "choose a recipe")
        if self._field is None and len(keys) > 1:
            self.table.go_to(keys[1])
        self._explain()

    def _matches(self, field: Field) -> bool:
        """Return whether a field has every word of the filter, in its key, help or value; `lr` is `learning_rate`."""
        text = f"{_called(field.key)} {field.help} {self._values.get(field.key, field.default)}".lower()
        return all(word in text for word in self._filter.lower().split())

    def _cells(self, key: str) -> list[Cell]:
        field = self._fields.get(key)
        if field is None:
            section = key.removeprefix(SECTION).strip()
            return [Styled(f"[{section}]" if section else "the recipe", "accent", bold=True), "", "", ""]
        by = self._by.get(key, "")
        colour = "accent" if by == "you" else ""
        name = field.key.removeprefix(f"{field.section}.") if field.section else field.key
        value = Styled(self._values.get(key, field.default), colour, bold=bool(colour))
        return [f"  {name}", value, Styled(f"● {by}" if by == "you" else by, colour), field.kind]

    def _explain(self) -> None:
        field = self._field
        text = ""
        if field is not None:
            text = " ".join(field.help.split())
            text += f"  Default: {field.default}." if field.default else ""
            text += "  ← → choose." if field.choices else f"  Type: {field.kind}."
        self.query_one("#about", Static).update(safe(text.strip()))

    @on(VirtualTable.Highlighted, "#keys")
    def _moved(self) -> None:
        self._explain()

    @on(VirtualTable.Selected, "#keys")
    def _open(self) -> None:
        field = self._field
        if field is None:
            return
        if set(field.choices) == {"true", "false"}:
            self.action_turn(1)
        elif field.choices:
            self.post_message(self.Choose(field.key, None))
        else:
            self._type(field)

    def _type(self, field: Field) -> None:
        self._editing = field.key
        box = self.query_one("#value", Input)
        box.placeholder = f"{field.key}: {field.kind}"
        box.value = self._values.get(field.key, field.default)
        box.add_class("shown")
        box.focus()

    @on(Input.Changed, "#value")
    def _typed(self, event: Input.Changed) -> None:
        if self._editing:
            self.post_message(self.Tried(self._editing, event.value))

    @on(Input.Submitted, "#value")
    def _entered(self, event: Input.Submitted) -> None:
        self.post_message(self.Set(self._editing, event.value))

    @on(Input.Changed, "#find")
    def _filtered(self, event: Input.Changed) -> None:
        self._filter = event.value
        self._fill()
        # A key that is called so is meant rather than one whose help speaks of it.
        words = self._filter.lower().split()
        named = (key for key in self.table.keys if key in self._fields and all(word in _called(key) for word in words))
        if words and (best := next(named, None)) is not None:
            self.table.go_to(best)

    @on(Input.Submitted, "#find")
    def _found(self) -> None:
        self.query_one("#find").set_class(bool(self._filter), "shown")
        self.table.focus()


def _called(key: str) -> str:
    """Return a key as one may look for it: with its words apart, and the initials of names of several words."""
    initials = ("".join(word[:1] for word in part.split("_")) for part in key.split(".") if "_" in part)
    return f"{key} {key.replace('_', ' ')} {' '.join(initials)}".lower()
