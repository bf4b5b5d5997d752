"""`distilkit compare`: whether the differences between systems are real."""

import sys
from dataclasses import replace
from pathlib import Path

from distilkit import option_values, options
from distilkit.commands.output import screen
from distilkit.comparison.compare import compare as compare_systems
from distilkit.comparison.render import format_of, formats, render
from distilkit.comparison.systems import System, SystemFiles, read_systems
from distilkit.comparison.tables import build
from distilkit.errors import UserError
from distilkit.files import write_text


def compare(asked: options.Compare) -> str | None:
    """Return the comparison in the format that was asked for; None where it goes to a file."""
    format_ = formats.resolve("json" if asked.json_ else asked.format_ or format_of(asked.output or Path()))
    measures = option_values.split(asked.measures)
    eval_set = option_values.split(asked.eval_set)
    read = read_systems(asked.systems, runs_dir=asked.runs_dir, measures=measures, qrels=asked.qrels, eval_set=eval_set)
    if asked.latency:
        read = _timed(read, asked.runs_dir)
    result = compare_systems(
        read,
        baselines=asked.baseline,
        measures=measures,
        pairs=asked.pairs,
        queries=asked.queries,
        test=asked.test,
        correction=asked.correction,
        alpha=_levels(asked.alpha) or (0.05, 0.01),
        noninferiority=asked.non_inferiority,
        margin_kind=asked.margin_kind,
        equivalence=asked.equivalence,
        seeds=asked.seeds,
    )
    tables = [*(option_values.split(asked.tables) or []), *(["depth"] if asked.depths else [])]
    tables += ["cost"] if asked.latency else []
    depths = option_values.whole_numbers(asked.depths, "--depths", "10 20 50 100")
    result = replace(result, tables=tuple(build(result, tables, depths)))
    shown = replace(screen(asked.output is None and sys.stdout.isatty()), details=asked.details)
    text = render(result, format_, shown)
    if asked.plots is not None:
        from distilkit.comparison.plots import save  # matplotlib takes a second to import

        save(result, asked.plots)
    if asked.output is None:
        return text.rstrip("\n")
    try:
        write_text(asked.output, text)
    except OSError as error:
        raise UserError(f"--output {asked.output}: cannot be written: {error.strerror}") from None
    return None


def _timed(systems: list[System], runs_dir: Path) -> list[System]:
    """Return the systems with the latencies of their runs, timed together now."""
    from distilkit.pipeline.latency import timed_anew  # imports torch's part of the house

    runs = {one.stored.path.resolve(): one.stored for system in systems for one in system.origins if one.stored}
    if not runs:
        raise UserError("--latency: no system is a run of distilkit, whose models could be timed")
    found = {path.resolve(): stated for path, stated in timed_anew([*runs.values()], runs_dir / ".artifacts").items()}

    def timed(one: SystemFiles) -> SystemFiles:
        stated = found.get(one.results.path.resolve()) if one.results is not None else None
        return one if stated is None else replace(one, timed=stated)

    return [replace(system, origins=tuple(map(timed, system.origins))) for system in systems]


def _levels(values: list[str] | None) -> tuple[float, ...]:
    levels = []
    for text in option_values.split(values) or []:
        try:
            levels.append(float(text))
        except ValueError:
            raise UserError(f"--alpha {text}: expected a number between 0 and 1") from None
    return tuple(levels)
