"""The work that a run announces is the work that it does."""

from pathlib import Path

from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.request import Request
from distilkit.pipeline.run import run
from distilkit.recipe import load_with_source
from distilkit.training.processes import Processes


def test_the_whole_is_what_its_phases_add_up_to(tiny_recipe: Path, tmp_path: Path) -> None:
    # Every query has as many candidates as the depth asks for, so the estimate is exact.
    overrides = ["evaluate.rerank_depth=2", "grid.train.learning_rate=[1e-3, 2e-3]", "train.eval_steps=5"]
    recipe, source = load_with_source(tiny_recipe, overrides)
    reporter = Reporter(quiet=True)
    run(Request(recipe, source, tmp_path / "runs"), reporter, Processes())
    whole = reporter.whole
    assert whole.total > 0
    assert whole.done == whole.total
