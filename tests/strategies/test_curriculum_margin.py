"""curriculum_margin: groups of candidates from the last to the first, each with its share of the training."""

import math

import numpy as np
import pytest
import torch

from distilkit.data.candidates import Candidates
from distilkit.data.unlabelled import Draw, draw_by_teacher
from distilkit.errors import UserError
from distilkit.recipe import read_table
from distilkit.settings import TrainSettings
from distilkit.strategies import parse_strategy, resolved_stages


def test_groups_follow_each_other_from_easy_to_hard() -> None:
    table = {"name": "x", "strategy": {"name": "curriculum_margin"}, "train": {"negative_depth": 50, "max_steps": 100}}
    recipe, _ = read_table(table)
    found = resolved_stages(recipe)
    assert [stage.name for stage in found] == ["group_1", "group_2", "group_3"]
    ranges = [(stage.train.negative_range_min, stage.train.negative_range_max) for stage in found]
    assert ranges == [(33, 50), (17, 33), (0, 17)]
    assert [stage.train.max_steps for stage in found] == [34, 34, 34]
    epochs = [
        stage.train.num_train_epochs
        for stage in parse_strategy("curriculum_margin(groups=2)").stages(TrainSettings(), 1)
    ]
    assert epochs == [0.5, 0.5]


def test_a_cumulative_curriculum_keeps_the_easier_groups() -> None:
    stages = parse_strategy("curriculum_margin(cumulative=true)").stages(TrainSettings(negative_depth=50), 1)
    assert [(one.train.negative_range_min, one.train.negative_range_max) for one in stages] == [
        (33, 50),
        (17, 50),
        (0, 50),
    ]


def test_the_loss_is_that_of_margins() -> None:
    (term,) = parse_strategy("curriculum_margin").stages(TrainSettings(), 1)[0].terms
    sides = [[1.5, -0.25], [0.5, 0.75], [2.0, 1.0], [-1.0, 0.5]]
    expected = math.fsum(((a - b) - (c - d)) ** 2 for a, b, c, d in zip(*sides, strict=True)) / 2
    assert abs(term.loss()(*(torch.tensor(side, dtype=torch.float64) for side in sides)).item() - expected) < 1e-10


def test_without_labels_groups_are_of_the_teachers_ranks() -> None:
    candidates = Candidates(np.array([4]), np.array([[10, 11, 12, 13, 14, 15]]), np.zeros((1, 6)))
    scores = np.array([[3.0, 6.0, 1.0, 5.0, 2.0, 4.0]])  # the teacher's order: 11 13 15 10 14 12
    hard, easy = (draw_by_teacher(candidates, scores, Draw(1, 2, 1, *cut)) for cut in ((0, 2), (3, 5)))
    assert hard.passages.tolist() == [[11, 13, 15]]
    assert easy.passages.tolist() == [[11, 14, 12]]
    assert Draw(2, 2, 1, 3, 5).lists(6) == 1
    assert len(draw_by_teacher(candidates, scores, Draw(2, 2, 1, 4, 5))) == 0


def test_more_groups_than_candidates_are_refused() -> None:
    with pytest.raises(UserError, match="groups = 3: there are 2 candidates"):
        parse_strategy("curriculum_margin").stages(TrainSettings(negative_depth=2), 1)
    recipe, _ = read_table({"name": "x", "strategy": {"name": "margin_mse"}, "train": {"negative_range_max": 9}})
    assert recipe.train.negative_range_max == 9
    with pytest.raises(UserError, match="negative_range_max = 2 leaves nothing above negative_range_min = 3"):
        read_table(
            {
                "name": "x",
                "strategy": {"name": "margin_mse"},
                "train": {"negative_range_max": 2, "negative_range_min": 3},
            }
        )
