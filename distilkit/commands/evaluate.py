"""`distilkit evaluate`: the measures of TREC runs under the evaluation policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilkit import option_values, options
from distilkit.commands.output import printed
from distilkit.comparison.arguments import file_name
from distilkit.data.columns import FORM
from distilkit.errors import UserError
from distilkit.evaluation import measures, policy
from distilkit.evaluation.measures import Evaluation
from distilkit.evaluation.trec import Qrels, read_qrels, read_run
from distilkit.tables import table


@dataclass(frozen=True)
class Evaluations:
    """The measures of several runs, by name."""

    found: dict[str, Evaluation]
    repeated: int

    def to_json(self) -> list[dict[str, Any]]:
        """Return them as plain data."""
        return [
            {
                "name": name,
                "n": len(one.queries),
                "measures": one.means,
                "policy": {**one.policy, "repeated": self.repeated},
            }
            for name, one in self.found.items()
        ]

    def to_text(self) -> str:
        """Return them as a table, with what the policy left out or counted as 0."""
        first = next(iter(self.found.values()))
        rows = [[name, *(f"{value:.4f}" for value in one.means.values())] for name, one in self.found.items()]
        lines = [table(["run", *first.measures], rows), f"{len(first.queries)} judged queries"]
        if self.repeated:
            lines.append(f"{self.repeated} judgements are repeated with the same grade: each counts once")
        for name, one in self.found.items():
            if one.missing:
                lines.append(f"{name}: {len(one.missing)} of them have no results and score 0")
            if one.unjudged:
                lines.append(f"{name}: the results of {one.unjudged} queries without judgements are ignored")
            if one.own:
                lines.append(f"{name}: {one.own} queries are documents themselves and left out of their own results")
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
        run, own = policy.without_own(read_run(path), asked.exclude_self)
        _require_same(path, run, judgements, asked.qrels)
        found[name] = measures.evaluate(run, judgements, option_values.split(asked.measures) or [], own)
    return printed(Evaluations(found, judgements.repeated), asked)


def _require_same(path: Path, run: Mapping[str, policy.Results], judgements: Qrels, qrels: Path) -> None:
    """Refuse judgements of other queries than a run's: all would count as 0."""
    if any(run.values()) and not any(results and query in judgements for query, results in run.items()):
        turned = any(query in judged for query in run for judged in judgements.values())
        hint = f"; they are among its documents: are the columns in another order? expected {FORM}" if turned else ""
        raise UserError(f"{path}: none of its {len(run)} queries is judged in {qrels}{hint}")


def _named(argument: str) -> tuple[str, Path]:
    name, sign, rest = argument.partition("=")
    path, name = (Path(rest), name) if sign and not Path(argument).exists() else (Path(argument), "")
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; expected a TREC run")
    return name or file_name(path), path
