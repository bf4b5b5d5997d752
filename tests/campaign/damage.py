"""Damage: a byte of a file is flipped, or the file cut, emptied, lengthened or removed, before a command goes on.

It ends with what the undisturbed command leaves, or with one sentence; never otherwise, and never with other results.
"""

import shutil
from pathlib import Path
from random import Random

from tests.campaign.command import Kill, run
from tests.campaign.place import CHANGES, Place, Wrong, left, require_same, require_sentence

# What a run leaves for people alone, and what was never finished.
UNREAD = ("log.txt", "run.lock", "stdout", "stderr", "operations", "turn")


def trial(place: Place, random: Random, folder: Path) -> str:
    """Damage a finished run or a killed one, go on with it, and compare."""
    command = random.choice([*CHANGES, "score", "retrieve"])
    done, expected, operations = place.undisturbed(command)
    finished = random.random() < 0.4 and command in CHANGES
    if finished:
        shutil.copytree(done / "runs", folder / "runs")
        shutil.copytree(done / "runs" / ".artifacts", folder / "runs" / ".artifacts", dirs_exist_ok=True)
    else:
        run(place.world.words(command, folder), folder, Kill(random.randint(operations // 4, operations)))
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in UNREAD)
    files = [path for path in files if path.stat().st_size and not path.name.startswith(".")]
    if not files:
        return f"{command}: nothing was there to be damaged"
    file = random.choice(files)
    how = damage(file, random)
    state = "finished" if finished else "killed"
    said = f"{command}, {state}: {_short(file.relative_to(folder))} {how}"
    ended = run(place.world.words(command, folder, resume=True), folder)
    if ended.code == 0:
        if "Traceback" in ended.said:
            raise Wrong(f"{said}: {ended.said[-300:]}")
        found = left(folder)
        if file.relative_to(folder).parts[-2:] == ("index", file.name) or command == "retrieve":
            found = {name: content for name, content in found.items() if not name.startswith("index/")}
            expected = {name: content for name, content in expected.items() if not name.startswith("index/")}
        try:
            require_same(found, expected)
        except Wrong as wrong:
            raise Wrong(f"{said}: exit 0, but {wrong}") from None
        return f"{said}: as undisturbed"
    try:
        require_sentence(ended)
    except Wrong as wrong:
        raise Wrong(f"{said}: {wrong}") from None
    return f"{said}: {ended.said.strip().splitlines()[-1][:160]}"


def damage(file: Path, random: Random) -> str:
    """Do something to a file that a disk or a person may do; return what."""
    data, how = file.read_bytes(), random.choice(["flipped", "cut", "emptied", "lengthened", "removed"])
    # Written anew under its name, so that a file that is linked elsewhere is damaged there, too, as on a disk.
    if how == "flipped":
        at = random.randrange(len(data))
        file.write_bytes(data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :])
        return f"has another bit at byte {at} of {len(data)}"
    if how == "cut":
        kept = random.randrange(len(data))
        file.write_bytes(data[:kept])
        return f"is cut to {kept} of {len(data)} bytes"
    if how == "emptied":
        file.write_bytes(b"")
        return "is emptied"
    if how == "lengthened":
        file.write_bytes(data + random.randbytes(random.randint(1, 100)))
        return "has bytes behind its end"
    file.unlink()
    return "is removed"


def _short(path: Path) -> str:
    return "/".join(part if len(part) < 32 else f"{part[:8]}…" for part in path.parts)
