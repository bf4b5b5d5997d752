"""Short names: what all share is left out, what tells systems apart stays."""

import pytest

from distilkit.run_folders.names import fitted, short_names

TABLE = {
    "t/tinybert+hard_label-bert_cat_L3_H384-teacher-seed1": "tinybert(hard_label=true) · L3_H384 · seed 1",
    "t/tinybert-bert_cat_L3_H384-teacher-seed2": "tinybert · L3_H384 · seed 2",
    "t/fine_tune-bert_cat_L6_H768-none-seed1": "fine_tune · L6_H768 · seed 1",
}


@pytest.mark.parametrize(
    "expected",
    [
        TABLE,
        {"t/tinybert-bert_cat_L3_H384-teacher-seed1": "tinybert"},
        {"bm25": "BM25", "teacher": "teacher", "mine": "mine", "mine-label_only": "mine · label-only"},
        {"t/margin_mse-tk-T1-seed1": "margin_mse · T1", "t/margin_mse-tk-T2-seed1": "margin_mse · T2"},
        {"t/margin_mse-tk-none-seed1": "margin_mse · no teacher", "t/margin_mse-tk-T2-seed1": "margin_mse · T2"},
        {"t/margin_mse-tk-T1": "margin_mse", "teacher-t/margin_mse-tk-T1": "teacher T1"},
        {"a/tinybert-tk-T1-seed1": "a · tinybert", "b/tinybert-tk-T1-seed1": "b · tinybert"},
        {"t/a+x=a+b-tk-T1": "a(x=a, b=true)", "t/a+x=1+2-tk-T1": "a(x=1, 2)"},
        {"a": "a", "s/b": "s/b"},
    ],
)  # fmt: skip
def test_what_all_share_is_left_out(expected):
    assert short_names(expected) == expected


def test_names_that_would_be_alike_stay_as_they_are():
    names = ["tinybert", "t/tinybert-tk-T1-seed1"]
    assert short_names(names) == {name: name for name in names}


@pytest.mark.parametrize(
    "names", [[f"{'a' * 30}{end}" for end in "xyz"], [f"{start}{'a' * 30}" for start in "xyz"], list(TABLE.values())]
)
@pytest.mark.parametrize("width", [8, 12, 20, 60])
def test_what_differs_is_never_cut(names, width):
    cut = fitted(names, width)
    assert list(cut) == names
    assert len(set(cut.values())) == len(names)
    assert max(map(len, cut.values())) <= width
