"""`distilkit evaluate`: the measures of TREC runs under the evaluation policy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilkit import options
from distilkit.commands.output import printed
from distilkit.comparison.arguments import file_name
from distilkit.errors import UserError
from distilkit.evaluation import measures
from distilkit.evaluation.measures import Evaluation
from distilkit.evaluation.trec import read_qrels, read_run
from distilkit.tables import table


@dataclass(frozen=True)
class Evaluations:
    """The measures of several runs, by name."""

    found: dict[str, Evaluation]

    def to_json(self) -> list[dict[str, Any]]:
        """Return them as plain data."""
        return [
            {"name": name, "n": len(one.queries), "measures": one.means, "policy": one.policy}
            for name, one in self.found.items()
        ]

    def to_text(self) -> str:
        """Return them as a table, with what the policy left out or counted as 0."""
        first = next(iter(self.found.values()))
        rows = [[name, *(f"{value:.4f}" for value in one.means.values())] for name, one in self.found.items()]
        lines = [table(["run", *first.measures], rows), f"{len(first.queries)} judged queries"]
        for name, one in self.found.items():
            if one.missing:
                lines.append(f"{name}: {len(one.missing)} of them have no results and score 0")
            if one.unjudged:
                lines.append(f"{name}: the results of {one.unjudged} queries without judgements are ignored")
        return "\n".join(lines)


def evaluate(asked: options.Evaluate) -> str:
    """Return the measures of TREC runs, each a path or `NAME=PATH`.

    Raises UserError for a file that is missing or broken, equal names and an unknown measure.
    """
    if not asked.qrels.is_file():
        raise UserError(f"--qrels {asked.qrels}: there is no such file")
    judgements = read_qrels(asked.qrels)
    found: dict[str, Evaluation] = {}
    for argument in asked.runs:
        name, path = _named(argument)
        if name in found:
            raise UserError(f"two runs are called {name!r}; rename one as NAME={path}")
        found[name] = measures.evaluate(read_run(path), judgements, options.split(asked.measures) or [])
    return printed(Evaluations(found), asked)


def _named(argument: str) -> tuple[str, Path]:
    name, sign, rest = argument.partition("=")
    path, name = (Path(rest), name) if sign and not Path(argument).exists() else (Path(argument), "")
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; expected a TREC run")
    return name or file_name(path), path
