"""What `bf16 = "auto"` comes to, measured once a machine and kept beside the artifacts."""

import time
from collections.abc import Sequence
from pathlib import Path

from distilkit.files import read_object_or_empty, write_json
from distilkit.run_folders.folder import machine
from distilkit.run_folders.lock import Lock
from distilkit.training.precision import AutoPrecision, best_times, judged

WAIT = 0.05


def measured_once(path: Path, units: Sequence[str]) -> AutoPrecision:
    """Return what a file says of this machine with this torch and number of threads; measure and enter it, if nothing.

    Processes that ask at the same time wait for the one that measures. A damaged file, or a damaged entry of it, is
    measured again.
    """
    import torch

    key = f"{machine()['cpu']}, {'+'.join(units)}, torch {torch.__version__}, {torch.get_num_threads()} threads"
    lock = Lock(path.with_name(f".{path.name}.lock"))
    while not lock.acquire():
        time.sleep(WAIT)
    try:
        entries = read_object_or_empty(path)
        found = AutoPrecision.read(entries.get(key))
        if found is None:
            found = judged(best_times())
            write_json(path, {**entries, key: found.to_json()})
        return found
    finally:
        lock.release()
