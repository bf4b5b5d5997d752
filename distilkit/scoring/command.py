"""`distilkit score` from its options to what it prints."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilkit.errors import UserError
from distilkit.scoring.audit import Audit, audit
from distilkit.scoring.audit_plot import plot_audit
from distilkit.scoring.corpus import Corpus, of_files, of_folder
from distilkit.scoring.finished import Finished, read_finished
from distilkit.scoring.launched import launched
from distilkit.scoring.rankers import named
from distilkit.scoring.request import Request
from distilkit.scoring.score import score
from distilkit.scoring.wanted import Kind


@dataclass(frozen=True)
class Report:
    """What `distilkit score` says at its end."""

    output: Path
    finished_before: bool
    facts: dict[str, Any]
    audit: Audit | None = None
    plots: tuple[Path, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        found = {"output": str(self.output), "finished_before": self.finished_before, **self.facts}
        if self.audit is not None:
            found |= {"audit": self.audit.to_json(), "plots": [str(path) for path in self.plots]}
        return found

    def to_text(self) -> str:
        """Return it for people."""
        text = f"{self.output} is finished already" if self.finished_before else self._done()
        if self.audit is None:
            return text
        return f"{self.audit.to_text()}\n\n{text}\nPlots: {', '.join(str(path) for path in self.plots)}"

    def _done(self) -> str:
        facts = self.facts
        lines = f", {facts['triples']} triples" if facts["triples"] else ""
        return f"{facts['pairs']} pairs{lines} scored with {', '.join(facts['teachers'])}: {self.output}"


def score_command(
    *,
    models: Sequence[str],
    inputs: dict[Kind, Path | None],
    data: Path | None,
    collection: Sequence[Path],
    queries: Sequence[Path],
    audited: bool,
    quiet: bool,
    **options: Any,
) -> Report | None:
    """Score what the options name; return what the main process has to say of it, None in the others.

    Raises UserError for options that do not go together, and as `score` does.
    """
    given = [(kind, path) for kind, path in inputs.items() if path is not None]
    if len(given) != 1:
        raise UserError(f"expected one of --triples, --pairs and --run, got {len(given)} of them")
    kind, path = given[0]
    request = Request(named(models), path, kind, _corpus(data, collection, queries), **options)
    with launched(quiet) as (processes, reporter):
        scored = score(request, processes, reporter)
        if not processes.is_main:
            return None
        if scored is None:
            return _report(request, True, {}, read_finished(request) if audited else None)
        triples = scored.material.triples
        facts = {
            "pairs": len(scored.score),
            "triples": 0 if triples is None else triples.shape[1],
            "teachers": list(scored.teachers),
            "seconds": round(scored.seconds, 3),
        }
        return _report(request, False, facts, Finished(scored.systems, triples) if audited else None)


def _report(request: Request, before: bool, facts: dict[str, Any], audited: Finished | None) -> Report:
    if audited is None:
        return Report(request.output, before, facts)
    plots = plot_audit(audited.systems, audited.triples, request.output)
    return Report(request.output, before, facts, audit(audited.systems, audited.triples), tuple(plots))


def _corpus(data: Path | None, collection: Sequence[Path], queries: Sequence[Path]) -> Corpus | None:
    if data is not None:
        if collection or queries:
            raise UserError("--data names all texts; expected it, or --collection and --queries")
        return of_folder(data)
    if bool(collection) != bool(queries):
        raise UserError("--collection and --queries go together; expected both")
    return of_files(collection, queries) if collection else None
