"""Soak: several runs at once share artifacts, some are killed and started again, and somebody cleans up meanwhile."""

from pathlib import Path
from random import Random

from tests.campaign.command import Kill, run, starting
from tests.campaign.place import CHANGES, Place, Wrong, left, require_same

MOST = 4


def trial(place: Place, random: Random, folder: Path) -> str:
    """Start several runs in one folder, kill some, clean in between, let all finish, and compare each."""
    commands = random.sample(list(CHANGES), random.randint(2, len(CHANGES)))
    expected = {command: place.undisturbed(command) for command in commands}
    did = [f"{', '.join(commands)} at once"]
    for turn in range(random.randint(1, MOST)):
        killed = [command for command in commands if random.random() < 0.5]
        kills = {one: Kill(random.randint(1, expected[one][2]), random.uniform(0.0, 0.1)) for one in killed}
        words = {command: place.world.words(command, folder, resume=turn > 0) for command in commands}
        with starting({one: (words[one], kills.get(one)) for one in commands}, folder) as processes:
            cleaned = run(["clean", "--yes", "--runs-dir", str(folder / "runs")], folder / "cleaner")
            codes = {one: process.wait() for one, process in processes.items()}
        did.append(f"{len(killed)} killed")
        wrong = {one: code for one, code in codes.items() if code != 0 and not (code == -9 and one in kills)}
        if wrong or cleaned.code != 0:
            said = "".join(processes[one].stderr[-300:] for one in wrong)
            raise Wrong(f"{'; '.join(did)}: exit codes {wrong}, of clean {cleaned.code}: {said}{cleaned.said[-200:]}")
    for command in commands:
        ended = run(place.world.words(command, folder, resume=True), folder)
        if ended.code != 0:
            raise Wrong(f"{'; '.join(did)}: {command} then exit code {ended.code}: {ended.said[-300:]}")
    found = {name: content for name, content in left(folder).items() if not name.startswith("runs/.artifacts/")}
    wanted = {name: content for _, one, _ in expected.values() for name, content in one.items()}
    require_same(found, {name: content for name, content in wanted.items() if not name.startswith("runs/.artifacts/")})
    return "; ".join(did)
