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
    Key("x", "stop", "stop: leaves a checkpoint; again to kill", "stop"),
    Key("r", "resume", "go on with a stopped or crashed run", "resume"),
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
            Key("tab", "", "next pane; shift+tab: the one before"),
            Key("up,down,j,k", "", "move", shown="↑ ↓ j k"),
            Key("p", "pause", "hold the picture still; runs go on"),
            Key("ctrl+t", "toggle_light", "light or dark theme"),
            Key("ctrl+p", "", "every command by name, themes too"),
            Key("question_mark,f1", "help", "this help", "help", shown="? F1"),
            Key("q", "quit", "leave; runs go on", "quit"),
        ),
    ),
    "runs": (
        "Runs",
        (
            Key("enter", "open", "open the run", "open"),
            Key("slash", "filter", "filter, such as state:done nDCG@10>0.4 -tiny", "filter", shown="/"),
            Key("o", "sort", "sort by the next column"),
            Key("O", "reverse", "turn the order around", shown="O"),
            Key("v", "columns", "choose the columns"),
            Key("space", "mark", "mark, to compare or to see curves together", "mark"),
            Key("b", "baseline", "make it a baseline of the comparison", "baseline"),
            Key("u", "unmark", "take all marks away"),
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
            Key("left_square_bracket", "previous", "the run before", shown="["),
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
            Key("enter", "", "choose the recipe, change the value"),
            Key("left,right,h,l", "", "the choice before or after", shown="← → h l"),
            Key("delete", "", "take a change back"),
            Key("slash", "find", "look for a key of the form", "find", shown="/"),
            Key("d", "plan", "the plan: stages, steps, what is cached; trains nothing", "dry run"),
            Key("S", "start", "start it, in a process of its own", "start", shown="S"),
            Key("Y", "copy", "copy the command line that does the same", "copy", shown="Y"),
            Key("u", "reset", "take all changes back"),
            Key("tab", "pane(1)", "recipes, form, plan"),
            Key("shift+tab", "pane(-1)", "and the other way round"),
            Key("escape", "back", "back to the recipes, then to all runs", "back"),
        ),
    ),
    "compare": (
        "Compare",
        (
            Key("left_square_bracket", "tab(-1)", "the tab before", shown="["),
            Key("right_square_bracket", "tab(1)", "the next tab", "tab", shown="]"),
            Key("enter", "open", "queries of the system; the two rankings of the query", "open"),
            Key("b", "baseline", "make the system a baseline, or none any more", "baseline"),
            Key("a", "against", "look against the next baseline"),
            Key("A", "all_pairs", "against the baselines, or all with all", shown="A"),
            Key("m", "measure", "next measure and query set", "measure"),
            Key("n", "system(1)", "the next system"),
            Key("N", "system(-1)", "the system before", shown="N"),
            Key("plus,equals_sign", "margin(1)", "a wider margin of non-inferiority", "margin", shown="+"),
            Key("minus", "margin(-1)", "a narrower margin of non-inferiority", shown="-"),
            Key("M", "type_margin", "type the margin", shown="M"),
            Key("percent_sign", "margin_kind", "the margin as a share of the baseline, or absolute", shown="%"),
            Key("E", "equivalence", "test equivalence at the margin, too", shown="E"),
            Key("T", "test", "next test: t-test, Wilcoxon, permutation, bootstrap", shown="T"),
            Key("C", "correction", "next correction for the number of comparisons", shown="C"),
            Key("u", "pane('only_changed')", "the configuration: what differs, or all of it"),
            Key("t", "pane('axis')", "cost: ms per query or multiply-accumulates; curves: steps or time"),
            Key("s", "pane('smooth')", _SMOOTH),
            Key("y", "pane('log_y')", "loss on a logarithmic axis"),
            Key("e", "export", "write it as Markdown, LaTeX, HTML, JSON", "export"),
            Key("Y", "copy", "copy the command line that prints the same", shown="Y"),
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
