"""`distilkit score`: the raw logits of one teacher or several for triples, pairs or candidates."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distilkit import option_values, options
from distilkit.commands.launch import launched
from distilkit.commands.output import printed
from distilkit.errors import UserError
from distilkit.pipeline.data import Data
from distilkit.pipeline.workspace import Workspace
from distilkit.scoring.audit import Audit, audit, plot_audit
from distilkit.scoring.data_option import data_settings
from distilkit.scoring.inputs import Kind
from distilkit.scoring.job import Scored, ScoreJob, Systems, check
from distilkit.scoring.rankers import named, open_all
from distilkit.scoring.texts import Corpus, PairsSource, collection_of, files_of, folder_of
from distilkit.settings import DataSettings


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


def score(asked: options.Score) -> str | None:
    """Score what the options name; return what the main process has to say of it, None in the others.

    Raises UserError for options that do not go together, and as `ScoreJob.build` does.
    """
    models = named(option_values.references(asked.model))
    source, settings = _source(asked)
    with launched(asked) as (processes, reporter), reporter.live():
        check(source, asked.output, asked.combine)
        workspace = Workspace(asked.runs_dir / ".artifacts", processes, reporter)
        if settings is not None:
            collection = Data.of(settings, workspace).collection
            source = replace(source, corpus=collection_of(collection.folder, f"--data {asked.data}"))
        precision = workspace.precision(asked.wants_bf16)
        lengths = asked.query_length, asked.document_length, asked.max_length
        prefixes = asked.query_prefix, asked.document_prefix
        rankers = open_all(models, asked.architecture, lengths, reporter.say, asked.runs_dir, prefixes, asked.backend)
        job = ScoreJob(source, rankers, asked.output, asked.combine, asked.batch_size, precision)
        scored = job.build(processes, reporter, asked.resume)
        if not processes.is_main:
            return None
        if scored is None:
            return printed(_report(asked.output, {}, job.finished() if asked.audit else None), asked)
        return printed(_report(asked.output, _facts(scored), scored.systems if asked.audit else None), asked)


def _source(asked: options.Score) -> tuple[PairsSource, DataSettings | None]:
    """Return what is scored, and the collection to read its texts from, where no files are named that hold them."""
    inputs: dict[Kind, Path | None] = {"triples": asked.triples, "pairs": asked.pairs, "run": asked.run}
    given = [(kind, path) for kind, path in inputs.items() if path is not None]
    if len(given) != 1:
        raise UserError(f"expected one of --triples, --pairs and --run, got {len(given)} of them")
    kind, path = given[0]
    collection, queries = asked.collection or [], asked.queries or []
    if asked.data is not None:
        if collection or queries:
            raise UserError("--data names all texts; expected it, or --collection and --queries")
        # Of such a folder nothing but texts is needed, so that it is read as it is.
        corpus = folder_of(Path(asked.data)) if asked.data else None
        if corpus is not None:
            return PairsSource(path, kind, corpus), None
        return PairsSource(path, kind, Corpus([], [])), data_settings(asked.data)
    if bool(collection) != bool(queries):
        raise UserError("--collection and --queries go together; expected both")
    return PairsSource(path, kind, files_of(collection, queries) if collection else None), None


def _facts(scored: Scored) -> dict[str, Any]:
    triples = scored.systems.triples
    return {
        "pairs": len(scored.score),
        "triples": 0 if triples is None else triples.shape[1],
        "teachers": list(scored.teachers),
        "seconds": round(scored.seconds, 3),
    }


def _report(output: Path, facts: dict[str, Any], systems: Systems | None) -> Report:
    if systems is None:
        return Report(output, not facts, facts)
    plots = plot_audit(systems.scores, systems.triples, output)
    return Report(output, not facts, facts, audit(systems.scores, systems.triples), tuple(plots))
