"""Writing one evaluation into its folder (`eval/SET/`)."""

from pathlib import Path

from distilkit.evaluation.measures import Evaluation
from distilkit.evaluation.trec import Run, write_run
from distilkit.files import make_folder, write_json
from distilkit.run_folders.results import StoredResults, write_per_query


def write_evaluation(folder: Path, set_name: str, run: Run, evaluation: Evaluation, tag: str) -> None:
    """Write run.trec, per_query.csv and measures.json into a folder, each in one step; measures.json comes last."""
    make_folder(folder)
    files = StoredResults(folder, folder / "qrels.tsv")
    write_run(files.run, run, tag)
    write_per_query(files.table, evaluation.per_query)
    summary = {
        "set": set_name,
        "n": len(evaluation.queries),
        "measures": evaluation.means,
        "policy": evaluation.policy,
    }
    write_json(files.measures_json, summary)
