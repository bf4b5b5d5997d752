"""One process alone behaves as the main one of many."""

import pytest

from distilkit.data.writing import ContentError
from distilkit.errors import RunFailed, Stopped, UserError
from distilkit.training import processes as processes_module
from distilkit.training.processes import Processes


def test_work_of_the_main_process_has_a_value_or_fails() -> None:
    processes = Processes()
    assert (processes.rank, processes.count, processes.is_main) == (0, 1, True)
    assert processes.on_main(lambda: 7) == 7
    with pytest.raises(OSError, match="full"):
        processes.on_main(lambda: _fail(OSError("full")))
    assert processes.gather([1, 2]) == [1, 2]


def test_shared_work_inside_the_main_process_is_a_mistake() -> None:
    processes = Processes()
    # With more processes this would wait for ever, so it fails with one already.
    with pytest.raises(RuntimeError, match="the others would wait"):
        processes.on_main(lambda: processes.on_main(lambda: 1))
    assert processes.on_main(lambda: 2) == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UserError("a"), UserError),
        (ContentError("passages", "a"), UserError),
        (Stopped("a"), Stopped),
        (KeyboardInterrupt("a"), KeyboardInterrupt),
        (RunFailed("a"), RunFailed),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "a"), RunFailed),
    ],
)
def test_other_processes_fail_in_the_same_way(error: BaseException, kind: type[BaseException]) -> None:
    shared = processes_module._shared(error)
    assert type(shared) is kind
    assert str(shared) == str(error)


def _fail(error: Exception) -> None:
    raise error
