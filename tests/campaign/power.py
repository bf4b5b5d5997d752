"""Power: it is lost at a random moment, and the disk has no more than was written through to it; then a run goes on.

What of the names that were given since a folder's last sync is there is a matter of chance, as on a real disk.
"""

import pickle
import random as chances
from pathlib import Path
from random import Random

from cli_processes import run_cli, started
from power import Disk, recorded, restore

from tests.campaign.command import run
from tests.campaign.place import CHANGES, Place, Wrong, left, require_same


def trial(place: Place, random: Random, folder: Path) -> str:
    """Cut the power of a run once or twice, let it finish from what the disk has, and compare."""
    command = random.choice(list(CHANGES))
    _, expected, operations = place.undisturbed(command)
    at, did = folder / "first", []
    at.mkdir()
    for number in range(random.choice([1, 1, 2])):
        # A synced file takes several operations on files and one or two that change what the disk has.
        cut, seed = random.randint(1, operations // 2), random.randrange(1 << 30)
        words = place.world.words(command, at, resume=number > 0)
        image = folder / f"image-{number}"
        with started(_be, words, at / "runs", cut, seed, image, folder=folder / "said") as process:
            code = process.wait()
        if code not in (0, 9):
            raise Wrong(f"{command}: {did}: exit code {code}: {process.stderr[-300:]}")
        did.append(f"power lost at change {cut}" if code else "finished before")
        if code:
            at = folder / f"after-{number}"
            restore(pickle.loads(image.read_bytes()), at / "runs")  # noqa: S301  # written by this very process's child
    ended = run(place.world.words(command, at, resume=True), at)
    said = f"{command}: {', '.join(did)}"
    if ended.code != 0:
        raise Wrong(f"{said}: then exit code {ended.code}: {ended.said[-300:]}")
    try:
        require_same(left(at), expected)
    except Wrong as wrong:
        raise Wrong(f"{said}: {wrong}") from None
    return said


def _be(words: list[str], runs: Path, cut: int, seed: int, image: Path) -> None:
    """Be the command until the power is lost, and leave what the disk has then."""
    import os

    chance = chances.Random(seed)

    def lose(disk: Disk) -> None:
        if disk.cuts == cut:
            image.write_bytes(pickle.dumps(chance.choice(disk.images(chance))))
            os._exit(9)

    runs.mkdir(parents=True, exist_ok=True)
    with recorded(runs, lose):
        run_cli(words)
