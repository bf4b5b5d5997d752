"""Chart and table: what they draw, what they keep, and that nothing in them can drive a terminal."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from rich.style import Style
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from distilkit_tui.core.text import figure, fit, safe, short
from distilkit_tui.widgets.chart import draw
from distilkit_tui.widgets.plot import Axis, Curve, Plot
from distilkit_tui.widgets.table import Column, Styled, VirtualTable

X = np.arange(10.0)


def lines(plot: Plot, width: int = 40, height: int = 8) -> list[str]:
    strips = draw(plot, width, height, Style(), [Style.parse("red"), Style.parse("green")])
    assert len(strips) == height
    assert {strip.cell_length for strip in strips} == {width}
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


def test_a_rising_line() -> None:
    assert lines(Plot("loss", (Curve("soft", X, X),), x_label="step")) == [
        " loss  ─ soft 9",
        " │                                ⣀⣀⠤⠔⠒⠉",
        " │                         ⢀⣀⠤⠔⠒⠊⠉",
        "5┤                   ⣀⣀⠤⠔⠒⠉⠁",
        " │            ⢀⣀⠤⠔⠒⠉⠉",
        " │      ⣀⡠⠤⠔⠒⠉⠁",
        "0┤⣀⠤⠔⠒⠉⠉",
        "  0                   5             step",
    ]


def test_one_of_five_thousand_points_is_seen_where_it_spikes() -> None:
    y = np.zeros(5000)
    y[2500] = 1.0
    drawn = lines(Plot("", (Curve("", np.arange(5000.0), y),)))
    assert all(line[4:].strip() == "⡇" for line in drawn[1:6])


def test_gaps_are_left_open_and_infinity_is_one() -> None:
    y = np.array([1.0, 1.0, 1.0, np.nan, np.inf, -np.inf, np.nan, 1.0, 1.0, 2.0])
    assert lines(Plot("", (Curve("", X, y),)))[6] == "1.0┤⣀⣀⣀⣀⣀⣀⣀⣀⡀                  ⢀⣀⣀⣀⣠⠃"
    assert lines(Plot("", (Curve("", X, np.full(10, np.inf)),), note="nothing"))[1] == "  nothing"


def test_curves_are_told_apart_without_colour() -> None:
    drawn = lines(Plot("loss", (Curve("soft", X, X), Curve("hard", X, -X), Curve("every point", X, 2 * X, dim=True))))
    assert drawn[0] == " loss  a hard -9  b soft 9"
    assert sum("a" in line for line in drawn[1:7]) == 1
    assert sum("b" in line for line in drawn[1:7]) == 1


def test_a_legend_that_is_too_long_drops_values_then_names() -> None:
    many = tuple(Curve(f"curve {number}", X, X * number) for number in range(6))
    drawn = lines(Plot("loss", many), width=50)[0]
    assert drawn == " loss  a curve 5  b curve 4  c curve 3  +3"


def test_a_logarithmic_axis_needs_a_positive_value() -> None:
    assert Axis.around([np.array([-1.0, 0.0])], log=True).log is False
    axis = Axis.around([np.array([0.0, 1e-3, 10.0])], log=True)
    assert (axis.low, axis.high, axis.ticks(9)) == (1e-3, 10.0, pytest.approx([1e-3, 1e-2, 0.1, 1.0, 10.0]))
    assert np.isnan(axis.place(np.array([0.0]))[0])


def test_points_bars_and_labels() -> None:
    cost, quality = np.array([1.0, 10.0, 100.0]), np.array([0.2, 0.4, 0.5])
    points = Curve("", cost, quality, kind="points", labels=("a1", "b2", "c3"))
    drawn = "\n".join(lines(Plot("", (points,), log_x=True)))
    assert all(label in drawn for label in ("● a1", "● b2", "c3 ●"))
    bars = lines(Plot("", (Curve("Δ", X, X - 4.5, kind="bars"),)))
    assert bars[1:7] == [
        " │                               ⢀⣀⣀⣀⣀⣿⣿",
        " │                           ⢰⣶⣶⣶⣾⣿⣿⣿⣿⣿⣿",
        "0┤                   ⣤⣤⣤⣤⣼⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿",
        " │⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⠛⠛⠛⠛⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉",
        " │⣿⣿⣿⣿⣿⣿⡿⠿⠿⠿⠿",
        " │⣿⣿⡏⠉⠉⠉⠁",
    ]


@pytest.mark.parametrize("size", [(1, 1), (11, 3), (12, 4), (13, 40), (300, 4)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    lines(Plot("a title", (Curve("x", X, X), Curve("y", X, -X))), *size)


@pytest.mark.parametrize(
    ("value", "step", "shown"),
    [
        (0.0, 0.5, "0"),
        (0.25, 0.25, "0.25"),
        (1e-3, 5e-4, "0.0010"),
        (0.0, 5e-4, "0"),
        (3e-5, 0.0, "3e-5"),
        (0.12345, 0.0, "0.1235"),
        (12_000.0, 2000.0, "12k"),
        (2e7, 0.0, "20M"),
        (float("nan"), 0.0, "–"),
    ],
)
def test_figures(value: float, step: float, shown: str) -> None:
    assert figure(value, step) == shown


HOSTILE = "[red]\x1b[31m\x07a\u202eb\r\n\t界" + "x" * 300


def test_texts_cannot_drive_a_terminal() -> None:
    assert safe(HOSTILE).isprintable()
    assert safe(HOSTILE).startswith("[red]\\x1b[31m\\x07a\\u202eb\\r\\n\\t界xx")
    assert (fit("界界界", 4), fit("ab", 4, "right"), fit("ab", 0)) == ("界 …", "  ab", "")
    assert short("one/two/three", 9) == "one/…hree"


class Tabled(App[None]):
    """A table with nothing around it."""

    CSS = "VirtualTable { height: 100%; }"

    def __init__(self) -> None:
        super().__init__()
        self.posted: list[str] = []

    def compose(self) -> ComposeResult:
        yield VirtualTable([Column("name", 10, grow=1), Column("value", 8, align="right", rank=1)])

    def on_virtual_table_highlighted(self, message: VirtualTable.Highlighted) -> None:
        self.posted.append(message.key)

    def on_virtual_table_selected(self, message: VirtualTable.Selected) -> None:
        self.posted.append(f"{message.key}!")

    def on_virtual_table_header_clicked(self, message: VirtualTable.HeaderClicked) -> None:
        self.posted.append(f"column {message.column}")


Steps = Callable[[Pilot[None], VirtualTable], Awaitable[None]]


def tabled(steps: Steps, size: tuple[int, int] = (40, 10)) -> list[str]:
    async def run() -> list[str]:
        app = Tabled()
        async with app.run_test(size=size) as pilot:
            table = app.query_one(VirtualTable)
            table.focus()
            await steps(pilot, table)
            await pilot.pause()
        return app.posted

    return asyncio.run(run())


def row(table: VirtualTable, y: int) -> str:
    return "".join(segment.text for segment in table.render_line(y))


def test_a_table_renders_what_is_in_sight_alone() -> None:
    asked: list[str] = []

    async def steps(pilot: Pilot[None], table: VirtualTable) -> None:
        def cells(key: str) -> list[str | Styled]:
            asked.append(key)
            return [key, Styled("1.0", "error")]

        table.show([str(number) for number in range(100_000)], cells)
        await pilot.pause()
        await pilot.press("end")
        await pilot.pause()
        assert row(table, 9).split() == ["99999", "1.0"]
        assert row(table, 0).split() == ["name", "value"]

    tabled(steps)
    assert 0 < len(set(asked)) < 60


def test_the_cursor_stays_on_its_key() -> None:
    async def steps(pilot: Pilot[None], table: VirtualTable) -> None:
        table.show(["a", "b", "c"], lambda key: [key, ""])
        await pilot.press("j", "enter")
        table.show(["new", "a", "c", "b"], lambda key: [key, ""])
        assert table.cursor_key == "b"
        table.show(["new", "a", "c"], lambda key: [key, ""])
        assert table.cursor_key == "c"
        table.show([], lambda key: [key, ""])
        await pilot.press("enter", "down", "up", "pagedown", "home", "end")
        assert table.cursor_key is None

    assert tabled(steps) == ["a", "b", "b!", "c"]


def test_clicks_move_choose_and_sort() -> None:
    async def steps(pilot: Pilot[None], table: VirtualTable) -> None:
        table.show(["a", "b", "c"], lambda key: [key, ""])
        for place in ((3, 3), (3, 3), (3, 0), (38, 0), (3, 8)):
            await pilot.click(VirtualTable, offset=place)

    assert tabled(steps) == ["a", "c", "c!", "column 0", "column 1"]


def test_a_narrow_table_drops_columns_and_markup_is_text() -> None:
    async def steps(pilot: Pilot[None], table: VirtualTable) -> None:
        table.show([HOSTILE], lambda key: [key, "1.0"])
        await pilot.pause()
        assert row(table, 0).split() == ["name"]
        assert row(table, 1) == " [red]\\x1b… "

    tabled(steps, size=(12, 5))
