"""Kills: a command dies by SIGKILL at random moments, is started again, and leaves what it leaves undisturbed."""

import json
from pathlib import Path
from random import Random

from tests.campaign.command import Kill, run
from tests.campaign.place import COMMANDS, Place, Wrong, left, require_same

# What a folder of runs keeps under a name that begins with a dot: the artifacts, and a lock that is taken again.
KEPT = {".artifacts", ".precision.json.lock"}


def trial(place: Place, random: Random, folder: Path) -> str:
    """Kill a command once or more, let it finish, and compare; then clean up, which may change nothing of it."""
    command = random.choice(COMMANDS)
    _, expected, operations = place.undisturbed(command)
    did, resume = [], False
    while True:
        kill = Kill(random.randint(1, operations), random.choice([0.0, random.uniform(0.001, 0.2)]))
        ended = run(place.world.words(command, folder, resume), folder, kill)
        did.append(str(kill) if ended.code == -9 else "finished before")
        if ended.code not in (-9, 0):
            raise Wrong(f"{command}: {did}: exit code {ended.code}: {ended.said[-300:]}")
        resume = True
        if ended.code == 0 or random.random() < 0.6:
            break
    ended = run(place.world.words(command, folder, resume), folder)
    said = f"{command}: {', '.join(did)}"
    if ended.code != 0:
        raise Wrong(f"{said}: then exit code {ended.code}: {ended.said[-300:]}")
    require_same(left(folder), expected)
    cleaned = run(["clean", "--yes", "--json", "--runs-dir", str(folder / "runs")], folder)
    leftovers = [str(path) for path in (folder / "runs").rglob(".*") if path.name not in KEPT]
    if cleaned.code != 0 or leftovers:
        raise Wrong(f"{said}: cleaning left {leftovers[:3]}: {cleaned.said[-300:]}")
    require_same(left(folder), expected)
    gone = json.loads(cleaned.said[cleaned.said.index("{") :])["removed"]
    return f"{said}{f'; {len(gone)} things cleaned away' if gone else ''}"
