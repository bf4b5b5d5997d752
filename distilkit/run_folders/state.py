"""The state of a run, from its files and lock alone: running, stalled, done, stopped, crashed or lost."""

import socket
import time

from distilkit.run_folders.folder import RunFolder, boot_id
from distilkit.run_folders.lock import is_held
from distilkit.run_folders.record import RunRecord, RunStatus

TERMINAL = ("done", "stopped", "crashed")
GRACE = 60.0
"""A run on another machine is given up after this many seconds without a sign beyond what it announced."""


def derive(folder: RunFolder, record: RunRecord, status: RunStatus, now: float | None = None) -> str:
    """Return a run's state; never call it in the run's own process, whose lock it would ask about."""
    if status.state in TERMINAL:
        return status.state
    silent = (now or time.time()) - (status.heartbeat or 0.0)
    patience = max(60.0, 3 * status.expect_next)
    here = record.host.get("host") == socket.gethostname() and record.boot_id == boot_id()
    try:
        if here and not is_held(folder.lock):
            return "crashed"
    except OSError:
        here = False  # the lock of a folder that cannot be written cannot be asked about
    if not here:
        return "lost" if silent > patience + GRACE else "running"
    return "stalled" if silent > patience else "running"
