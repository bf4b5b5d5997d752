"""The one table of keys: bindings, the footer and the help screen all come from it."""

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Key:
    """A key of one place: `keys` as Textual names them (several by commas), the action, and what it does.

    `footer` is the short name shown at the bottom of the screen; without one the key stands in the help only.
    A key without an action belongs to a widget and stands in the help only.
    """

    keys: str
    action: str
    help: str
    footer: str = ""
    shown: str = ""


# What several places have: acting on a run, how its curves are shown.
_STOP = (
    Key("x", "stop", "stop after a checkpoint; press again to kill", "stop"),
    Key("r", "resume", "resume a stopped or crashed run", "resume"),
    Key("D", "delete", "delete the run's folder, after a question", shown="D"),
)
_MEASURE = Key("m", "measure", "next measure in the validation curve")
_SMOOTH = "smoothing of the loss: none, 10, 50, 200 points"
_AXIS = Key("t", "axis", "curves over steps or over time")
_COPY = Key("Y", "copy", "copy the run's name", shown="Y")

# Place -> its title in the help and its keys. A screen takes its bindings with `bindings("runs")`.
KEYS: dict[str, tuple[str, tuple[Key, ...]]] = {
    "app": (
        "Everywhere",
        (
            Key("1", "mode('runs')", "all runs"),
            Key("2", "mode('run')", "one run"),
            Key("3", "mode('launch')", "start a run"),
            Key("4", "mode('compare')", "compare runs"),
            Key("tab", "", "next pane; shift+tab: the previous one"),
            Key("up,down,j,k", "", "move", shown="↑ ↓ j k"),
            Key("p", "pause", "pause the display; runs continue"),
            Key("ctrl+t", "toggle_light", "light or dark theme"),
            Key("ctrl+p", "", "all commands by name, and themes"),
            Key("question_mark,f1", "help", "this help", "help", shown="? F1"),
            Key("q", "quit", "quit; runs continue", "quit"),
        ),
    ),
    "runs": (
        "Runs",
        (
            Key("enter", "open", "open the run", "open"),
            Key("slash", "filter", "filter, such as state:done nDCG@10>0.4 -tiny", "filter", shown="/"),
            Key("o", "sort", "sort by the next column"),
            Key("O", "reverse", "reverse the order", shown="O"),
            Key("v", "columns", "choose the columns"),
            Key("space", "mark", "mark, to compare or to draw curves together", "mark"),
            Key("b", "baseline", "make it a baseline of the comparison", "baseline"),
            Key("u", "unmark", "clear all marks"),
            Key("c", "compare", "compare the marked runs", "compare"),
            Key("n", "launch", "start a new run", "new"),
            *_STOP,
            _MEASURE,
            Key("s", "smooth", _SMOOTH),
            Key("y", "log_y", "loss on a logarithmic axis"),
            _AXIS,
            _COPY,
        ),
    ),
    "run": (
        "Run",
        (
            Key("escape", "back", "back to all runs", "back"),
            Key("left_square_bracket", "previous", "the previous run", shown="["),
            Key("right_square_bracket", "next", "the next run", shown="]"),
            Key("l", "log", "the log", "log"),
            Key("f", "follow", "follow the end of the log", "follow"),
            Key("z", "zoom", "curves or details alone, or both", "zoom"),
            *_STOP,
            Key("g", "stage", "curves of the next stage"),
            _MEASURE,
            Key("s", "smooth", _SMOOTH),
            Key("y", "log_y", "losses on a logarithmic axis"),
            _AXIS,
            Key("space", "mark", "mark, to compare"),
            _COPY,
        ),
    ),
    "launch": (
        "Start a run",
        (
            Key("enter", "", "choose the recipe, or edit the value"),
            Key("left,right,h,l", "", "the previous or next choice", shown="← → h l"),
            Key("delete", "", "undo the change of this key"),
            Key("slash", "find", "find a key of the form", "find", shown="/"),
            Key("d", "plan", "plan: stages, steps, what is cached; nothing is trained", "dry run"),
            Key("S", "start", "start it, in a process of its own", "start", shown="S"),
            Key("Y", "copy", "copy the command line that starts this run", "copy", shown="Y"),
            Key("u", "reset", "undo all changes"),
            Key("tab", "pane(1)", "next of recipes, form and plan"),
            Key("shift+tab", "pane(-1)", "the previous one"),
            Key("escape", "back", "back to the recipes, then to all runs", "back"),
        ),
    ),
    "compare": (
        "Compare",
        (
            Key("left_square_bracket", "tab(-1)", "the previous tab", shown="["),
            Key("right_square_bracket", "tab(1)", "the next tab", "tab", shown="]"),
            Key("enter", "open", "open the system's queries, or the query's two rankings", "open"),
            Key("b", "baseline", "make the system a baseline, or take that back", "baseline"),
            Key("a", "against", "compare with the next baseline"),
            Key("A", "all_pairs", "compare with the baselines, or all pairs", shown="A"),
            Key("m", "measure", "next measure and query set", "measure"),
            Key("n", "system(1)", "the next system"),
            Key("N", "system(-1)", "the previous system", shown="N"),
            Key("plus,equals_sign", "margin(1)", "a wider margin of non-inferiority", "margin", shown="+"),
            Key("minus", "margin(-1)", "a narrower margin of non-inferiority", shown="-"),
            Key("M", "type_margin", "type the margin", shown="M"),
            Key("percent_sign", "margin_kind", "the margin as a share of the baseline, or absolute", shown="%"),
            Key("E", "equivalence", "also test equivalence at the margin", shown="E"),
            Key("T", "test", "next test: t-test, Wilcoxon, permutation, bootstrap", shown="T"),
            Key("C", "correction", "next correction for the number of comparisons", shown="C"),
            Key("u", "pane('only_changed')", "configuration: the keys that differ, or all"),
            Key("t", "pane('axis')", "cost: ms per query or multiply-accumulates; curves: steps or time"),
            Key("s", "pane('smooth')", _SMOOTH),
            Key("y", "pane('log_y')", "loss on a logarithmic axis"),
            Key("e", "export", "write the comparison as Markdown, LaTeX, HTML, JSON", "export"),
            Key("Y", "copy", "copy the command line that prints this comparison", shown="Y"),
            Key("escape", "back", "back to the answer, then to all runs", "back"),
        ),
    ),
}


def bindings(place: str) -> list[Binding]:
    """Return a place's bindings, for a screen's BINDINGS."""
    return [
        Binding(key.keys, key.action, key.footer or key.help, show=bool(key.footer), tooltip=key.help)
        for key in KEYS[place][1]
        if key.action
    ]


def name(key: Key) -> str:
    """Return how a key is written in the help."""
    return key.shown or key.keys.replace(",", " ")
