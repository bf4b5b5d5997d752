"""The pages of the reference that are made of the code: strategies, recipe keys, commands, recipes.

mkdocs calls `on_config` and `on_files`; `pages` needs no mkdocs, so that tests read the same text.
"""

import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer

from distilkit.cli import app
from distilkit.data.teacher_scores.formats import FORMATS
from distilkit.recipe import load_recipe, shipped_recipes
from distilkit.recipe_keys import NAMED, Field, class_help, form, of_section, section_help
from distilkit.settings import Recipe, TrainSettings
from distilkit.strategies import STRATEGIES, TERMS
from distilkit.strategies.describe import READ_ON

ROOT = Path(__file__).parents[1]
# The parts of a strategy's documentation; each begins a paragraph with its name and a colon.
PARTS = ("Equation", "Paper", "Papers", "Examples", "Deviations", "Defaults")
# Files of the checkout that are pages of the site too, as they are.
COPIES = {"SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md", "benchmarks/RESULTS.md": "results.md"}

STRATEGIES_INTRO = """\
# Strategies

A strategy is a method of training a student: a list of stages, each with the losses that are added up in it. A recipe
names its strategy in `[strategy] name`. Every page below is made of the strategy's own code.
"""
LOSSES_INTRO = """\
# Losses

A loss term is a loss by its name in a recipe. The strategies that learn from scores (`margin_mse`, `pointwise_mse`,
`weighted_ranknet` and `distil`) take any of them: `losses` puts them in place of the strategy's own loss, and `mix`
adds them to it.

```toml
[strategy]
name = "distil"
losses = [{ name = "kl_divergence", student_temperature = 2.0 }, { name = "list", weight = 0.5 }]
```
"""
KEYS_INTRO = """\
# Recipe keys

A recipe is a TOML file. Each section below is one of its tables. `[teacher.train]` has the keys of `[train]`, and so
has `[stages.NAME]`, for one stage of the strategy. `[teachers.NAME]` has the keys of `[teacher]`. The keys of
`[strategy]` are on the [pages of the strategies](strategies/index.md). Any key can be changed on the command line,
as in `--set train.learning_rate=1e-4`. The word `none` stands for the absence of a key that may be absent.
"""
COMMANDS_INTRO = """\
# Commands

`distilkit VERB --help` prints what this page says of each verb. A command ends with exit code 0 when it did what was
asked, with 1 when a run failed, with 2 when the input is wrong (one sentence says what was expected), and with 130 when
it was stopped.
"""
RECIPES_INTRO = """\
# Shipped recipes

These recipes come with distilkit. A command takes them by name, and a recipe of your own can build on one with
`extends = "NAME"`.
"""


def pages() -> dict[str, str]:
    """Return the Markdown of every generated page, by its path in the site's sources."""
    found = {f"reference/strategies/{name}.md": strategy_page(name) for name in STRATEGIES}
    found["reference/strategies/index.md"] = strategies_page()
    found["reference/losses.md"] = losses_page()
    found["reference/recipe-keys.md"] = recipe_keys_page()
    found["reference/commands.md"] = commands_page()
    found["reference/recipes.md"] = recipes_page()
    return found


def strategies_page() -> str:
    """Return the list of strategies."""
    rows = []
    for name in STRATEGIES:
        kind = STRATEGIES[name]
        stages = ", ".join(f"`{stage.name}`" for stage in kind().stages(TrainSettings(), 1))
        rows.append([f"[`{name}`]({name}.md)", _cell(account(kind)), stages, _cell(kind.paper)])
    return "\n".join(
        [
            STRATEGIES_INTRO,
            *_table(["strategy", "what it does", "stages", "paper"], rows),
        ]
    )


def strategy_page(name: str) -> str:
    """Return one strategy's page: its account of itself, its stages and its keys."""
    kind = STRATEGIES[name]
    lines = [f"# {name}", "", _escaped(account(kind)), ""]
    for part, text in _parts(inspect.getdoc(kind) or ""):
        lines += [f"**{part}:** {_escaped(text)}", ""]
    lines += ["## Stages", "", "A stage is one training of the student; the next one starts from its result.", ""]
    rows = []
    for stage in kind().stages(TrainSettings(), 1):
        terms = ", ".join(f"{term.weight:g} × [`{term.name}`](../losses.md#{term.name})" for term in stage.terms)
        rows.append([f"`{stage.name}`", terms, READ_ON[stage.examples]])
    lines += [*_table(["stage", "losses", "examples"], rows), ""]
    lines += [
        f"The keys of `[train]` hold for every stage; `[stages.NAME]`, such as `[stages.{stage.name}]`, changes them"
        " for one of them.",
        "",
        "## Keys of `[strategy]`",
        "",
    ]
    lines += [*_keys(strategy_keys(name), "strategy."), ""]
    lines += ["## Example", "", *_example(name), ""]
    return "\n".join(lines)


def strategy_keys(name: str) -> list[Field]:
    """Return the keys of a strategy, its name left out."""
    return [one for one in form(name, suite=False) if one.section == "strategy" and one.key != "strategy.name"]


def _example(name: str) -> Iterator[str]:
    yield from ("```sh", f"distilkit strategies {name}")
    shipped = [key for key, recipe in _shipped().items() if recipe.strategy.get("name") == name]
    if shipped:
        yield f"distilkit run {shipped[0]} --dry-run"
    else:
        yield f"distilkit run margin_mse --dry-run --set strategy.name={name}"
    yield "```"


@cache
def _shipped() -> dict[str, Recipe]:
    return {name: load_recipe(path) for name, path in shipped_recipes().items()}


def losses_page() -> str:
    """Return every loss term with its options."""
    lines = [
        LOSSES_INTRO,
    ]
    for name in TERMS:
        kind = TERMS[name]
        lines += [f"## {name}", "", _escaped((inspect.getdoc(kind) or "").partition("\n\n")[0]), ""]
        examples = " or ".join(READ_ON[one] for one in kind.examples)
        teacher = "It compares with the teacher" if kind.uses_teacher else "It needs no teacher"
        lines += [f"{teacher}, and is computed on {examples}.", ""]
        if options := kind().options:
            lines += [*_table(["option", "default"], [[f"`{key}`", f"`{_toml(options[key])}`"] for key in options]), ""]
    return "\n".join(lines)


def recipe_keys_page() -> str:
    """Return every key of a recipe, section by section."""
    found = form(None, suite=True)
    sections: dict[str, list[Field]] = {}
    for field in found:
        sections.setdefault(field.section, []).append(field)
    lines = [
        KEYS_INTRO,
    ]
    for section, own in sections.items():
        if section.startswith("teacher.train"):
            continue
        lines += [f"## `[{section}]`" if section else "## At the top", ""]
        if told := section_help(section):
            lines += [_escaped(told), ""]
        lines += [*_keys(own, f"{section}." if section else ""), ""]
        if section == "evaluate":
            name = "evaluate.sets"
            lines += [f"## `[{name}.NAME]`", "", _escaped(class_help(NAMED[name])), ""]
            lines += [*_keys(list(of_section(NAMED[name], f"{name}.")), f"{name}."), ""]
    return "\n".join(lines)


def commands_page() -> str:
    """Return every verb with its arguments and options."""
    group: Any = typer.main.get_command(app)
    context = group.context_class(group, info_name="distilkit")
    lines = [
        COMMANDS_INTRO,
    ]
    for name, verb in group.commands.items():
        usage = " ".join(verb.collect_usage_pieces(verb.context_class(verb, info_name=name, parent=context)))
        about, _, example = inspect.cleandoc(verb.help or "").partition("Example:")
        lines += [f"## distilkit {name}", "", _escaped(" ".join(about.split())), ""]
        lines += ["```text", f"distilkit {name} {usage}", "```", ""]
        rows = [[_spelt(one), _cell(getattr(one, "help", None) or ""), _default(one)] for one in verb.params]
        lines += [*_table(["argument or option", "what it is", "default"], rows), ""]
        if example:
            lines += ["```sh", " ".join(example.split()), "```", ""]
    return "\n".join(lines)


def recipes_page() -> str:
    """Return every shipped recipe with its text."""
    lines = [
        RECIPES_INTRO,
    ]
    for name, path in shipped_recipes().items():
        lines += [f"## {name}", "", _escaped(_shipped()[name].description) + ".", ""]
        lines += ["```toml", path.read_text(encoding="utf-8").strip(), "```", ""]
    return "\n".join(lines)


def on_config(config: Any) -> Any:
    """Put the strategies into the site's navigation."""
    _shipped.cache_clear()  # `mkdocs serve` builds again after a change
    for part in config["nav"]:
        for entry in part.get("Reference", []):
            if "Strategies" in entry:
                entry["Strategies"] = [
                    "reference/strategies/index.md",
                    *({name: f"reference/strategies/{name}.md"} for name in STRATEGIES),
                ]
    return config


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Put the table of score formats where a page asks for it, and let links to copied files lead to their pages."""
    markdown = markdown.replace("<!-- score formats -->", score_formats())
    up = "../" * page.file.src_uri.count("/")
    for source, target in COPIES.items():
        markdown = markdown.replace(f"](../{up}{source}", f"]({up}{target}")
    return markdown


def score_formats() -> str:
    """Return the table of the formats of teacher scores."""
    return "\n".join(
        _table(["name", "what a file holds"], [[f"`{name}`", _cell(FORMATS[name].shape)] for name in FORMATS])
    )


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to the site."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    for source, target in COPIES.items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    files.append(File.generated(config, "growth.svg", abs_src_path=str(ROOT / "benchmarks" / "growth.svg")))
    return files


def account(kind: type[Any]) -> str:
    """Return the first sentence of what a strategy says of itself."""
    return " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())


def _parts(about: str) -> list[tuple[str, str]]:
    """Return the named paragraphs of a strategy's documentation."""
    rest = about.partition("\n\n")[2]
    starts = list(re.finditer(rf"^({'|'.join(PARTS)})(?: (\(\d+\)))?: ", rest, re.MULTILINE))
    ends = [one.start() for one in starts[1:]] + [len(rest)]
    return [
        (" ".join(part for part in one.groups() if part), " ".join(rest[one.end() : end].split()))
        for one, end in zip(starts, ends, strict=True)
    ]


def _keys(fields: list[Field], prefix: str) -> list[str]:
    rows = [
        [
            f"`{one.key.removeprefix(prefix)}`",
            _cell(one.help),
            _cell(_taken(one)),
            f"`{one.default}`" if one.default else "",
        ]
        for one in fields
    ]
    return _table(["key", "what it is", "takes", "default"], rows)


def _taken(field: Field) -> str:
    return ", ".join(field.choices) if field.choices else field.kind


def _spelt(parameter: Any) -> str:
    metavar = parameter.metavar or ""
    if parameter.param_type_name == "argument":
        return f"`{metavar or parameter.name.upper()}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    return f"{names} `{metavar}`" if metavar else names


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "needed"
    return "" if value is None or value is False or callable(value) else f"`{value}`"


def _toml(value: object) -> str:
    from distilkit.problems import to_toml

    return to_toml(value)


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Return text with the signs that Markdown and HTML would take for their own written out, outside of code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([*_\[\]])", r"\\\1", part).replace("<", "&lt;") for part in parts
    )
