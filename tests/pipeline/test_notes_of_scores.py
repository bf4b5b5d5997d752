"""Scores that look like probabilities are said before training, with what to do, and false negatives by the audit."""

import numpy as np
import pytest
from settings_given import sets

from distilkit.scoring.audit import audit


@pytest.fixture
def dry(tiny_recipe, tmp_path, cli):
    """Return a function from pairs of scores to what a dry run with a file of them says."""

    def run(positive, negative):
        path, triples = tmp_path / "scores.tsv", tmp_path / "triples.tsv"
        path.write_text("".join(f"{positive}\t{negative}\tq{i}\td{i}\td{i + 9}\n" for i in range(12)))
        triples.write_text("".join(f"q{i}\td{i}\td{i + 9}\n" for i in range(12)))
        settings = [f"teacher.scores={path}", "teacher.fine_tune=none", f"train.triples={triples}"]
        settings += ["strategy.name=margin_mse", "twin.budget=none"]
        words = sets(*settings)
        found = cli("run", tiny_recipe, "--runs-dir", tmp_path / "runs", *words, "--dry-run")
        assert found.code == 0, found.err
        return found.out

    return run


def test_probabilities_are_said_in_the_dry_run_with_what_to_do(dry):
    said = dry(0.99, 0.01)
    assert "its scores lie between 0 and 1, as probabilities do" in said
    assert "activation_fn=torch.nn.Identity()" in said
    assert "probabilities" not in dry(4.2, -1.3)


def test_negatives_above_their_positive_are_reported_by_the_audit():
    scores = {"one": np.array([3.0, 1.0, 2.0, 4.0], np.float32)}
    triples = np.array([[0, 0, 1, 2], [1, 3, 2, 2]])
    # By hand: 4 and 2 lie above the positives 3 and 1; the last pair is equal, and no negative lies above it.
    found = audit(scores, triples)
    assert found.systems[0].false_negatives == 2
    assert any("2 negatives score above their positive in one" in warning for warning in found.warnings)
    assert audit(scores, None).systems[0].false_negatives is None
