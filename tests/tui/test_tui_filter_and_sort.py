"""The filter language and the orders of the table of runs, on recorded runs."""

from pathlib import Path

import pytest

from distilkit.errors import UserError
from distilkit_tui.core.entry import ORDERS, Entry, ordered
from distilkit_tui.core.filters import compile_filter
from distilkit_tui.core.store import RunStore

ALL = ["distilled", "distilled-label_only", "seeds/stopped"]


@pytest.fixture
def entries(recorded: Path) -> list[Entry]:
    return list(RunStore(recorded).poll().entries.values())


def names(entries: list[Entry], filter_: str) -> list[str]:
    passes = compile_filter(filter_)
    return [entry.key for entry in entries if passes(entry)]


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ("", ALL),
        ("label", ALL[1:2]),
        ("simplified_tinybert", [ALL[0], ALL[2]]),
        ("-label distilled", ALL[:1]),
        ("state:stopped", ALL[2:]),
        ("state:st*d", ALL[2:]),
        ("state=stop", []),
        ("state!=done", ALL[2:]),
        ("state:stopped or name:label", ALL[1:]),
        ("not (state:stopped or name:label)", ALL[:1]),
        ("distilled and -label", ALL[:1]),
        ("nDCG@10>0.38", ALL[1:2]),
        ("ndcg@10<=0.38 step<500", ALL[:1]),
        ("train.num_train_epochs>40", ALL[2:]),
        ("num_train_epochs=40", ALL[:2]),
        ("bf16=false", ALL),
        ("has:twin.budget", ALL),
        ("has:nothing", []),
        ('strategy:"fine_tune"', ALL[1:2]),
        ("'seeds/stopped'", ALL[2:]),
        ("student:l2_h16 seed=1", ALL),
        ("run:label", ALL[1:2]),
        ("test>0.38", ALL[1:2]),
        ("valid.<0.3 validation<0.3", ALL[1:2]),
        ("disk>1KiB DISK<1GiB", ALL),
        ("has:ETA", []),
        ("nothing>3", []),
    ],
)
def test_filters(entries: list[Entry], filter_: str, expected: list[str]) -> None:
    assert names(entries, filter_) == expected


@pytest.mark.parametrize("filter_", ['"open', "(a", "a)", "or a", "a or", "not", "loss>much", "()"])
def test_a_filter_that_cannot_be_read_is_refused_in_a_sentence(filter_: str) -> None:
    with pytest.raises(UserError, match=r"^filter: ") as refused:
        compile_filter(filter_)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("filter_", "complaint"),
    [
        ("sate:done", "filter: 'sate:done': no run has a field 'sate'; did you mean 'state'?"),
        ("state:dnoe", "filter: 'state:dnoe': no run has it; state is done, stopped"),
        ("test>0.9", "filter: 'test>0.9': test is between 0.371915 and 0.38093"),
        ("ETA>1", "filter: no run has a value of ETA yet"),
        ("distiled", "filter: no run has 'distiled' in its name, strategy or student; did you mean 'distilled'?"),
        ("eta", "filter: no run has 'eta' in its name, strategy or student; the field eta is asked for as"),
        ("state:done nothing=3", "filter: 'nothing=3': no run has a field 'nothing'"),
        ("-nothing", ""),
        ("state:done state:stopped", ""),
    ],
)
def test_a_word_that_no_run_has_is_complained_about(entries: list[Entry], filter_: str, complaint: str) -> None:
    said = compile_filter(filter_).complaint(entries)
    assert said.startswith(complaint)
    assert bool(said) == bool(complaint)


def test_orders(entries: list[Entry]) -> None:
    def sort(order: str, reverse: bool = False) -> list[str]:
        return [entry.key for entry in ordered(entries, order, reverse)]

    assert sort("started")[0] == "seeds/stopped"
    assert sort("name") == ALL
    assert sort("name", True) == ALL[::-1]
    assert sort("state")[-1] == "seeds/stopped"
    # Without a value a run stands last, whichever way the others are turned.
    assert sort("test")[-1] == sort("test", True)[-1] == "seeds/stopped"
    assert sort("test")[:2] == sort("test", True)[:2][::-1]
    assert all(sorted(sort(order)) == ALL for order in ORDERS)
