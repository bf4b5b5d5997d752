"""Locks belong to a process, are seen by others, and die with it."""

import os
import signal
import time
from pathlib import Path

from cli_processes import started, wait_for

from distilkit.run_folders.lock import Lock, is_held


def hold(path: Path, forks: bool = False) -> None:
    """Hold a lock until killed; with `forks`, beside a child that lives on."""
    lock = Lock(path)
    assert lock.acquire()
    if forks and os.fork() == 0:
        time.sleep(5)
        os._exit(0)
    print("held", flush=True)
    time.sleep(60)


def test_a_held_lock_is_seen_and_dies_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "run.lock"
    assert not is_held(path)
    with started(hold, path, folder=tmp_path / "said") as process:
        wait_for(lambda: "held" in process.stdout, process)
        assert is_held(path)
        assert not Lock(path).acquire()
        assert is_held(path)  # asking and failing take nothing from its holder
        process.signal(signal.SIGKILL)
        process.wait()
    assert not is_held(path)
    lock = Lock(path)
    assert lock.acquire()
    lock.release()
    lock.release()


def test_a_released_lock_is_free(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "run.lock")
    assert lock.acquire()
    lock.release()
    with started(hold, lock.path, folder=tmp_path / "said") as process:
        wait_for(lambda: "held" in process.stdout, process)
        assert is_held(lock.path)


def test_a_forked_worker_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with started(hold, path, True, folder=tmp_path / "said") as process:
        wait_for(lambda: "held" in process.stdout, process)
        assert is_held(path)
        process.signal(signal.SIGKILL)
        process.wait()
        assert not is_held(path)
