"""Changed: between a command and its resume the world becomes another one.

The resume refuses in one sentence, and goes on once the world is as it was; or all that it leaves is of the new world.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from cli_processes import run_cli, together

from tests.campaign.command import Kill, run
from tests.campaign.place import CHANGES, Place, World, Wrong, left, require_same, require_sentence


def _judgements(split: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        path = world.collection / "qrels" / f"{split}.tsv"
        head, *rows = path.read_text().splitlines()
        parts = [row.split("\t") for row in rows]
        documents = [part[1] for part in parts][::-1]
        turned = [f"{part[0]}\t{document}\t{part[2]}" for part, document in zip(parts, documents, strict=True)]
        path.write_text("\n".join([head, *turned]) + "\n")

    return change


def _teacher(world: World) -> None:
    shutil.rmtree(world.teacher)
    shutil.copytree(world.folder / "other", world.teacher)


def _text(name: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        path = world.collection / name
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines[0]["text"] = " ".join(reversed(lines[0]["text"].split()))
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    return change


def _recipe(before: str, after: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        text = world.recipe.read_text()
        assert before in text
        world.recipe.write_text(text.replace(before, after))

    return change


WORLDS: dict[str, Callable[[World], None]] = {
    "test judgements": _judgements("test"),
    "validation judgements": _judgements("dev"),
    "training judgements": _judgements("train"),
    "teacher": _teacher,
    "corpus": _text("corpus.jsonl"),
    "queries": _text("queries.jsonl"),
    "learning rate": _recipe("learning_rate = 1e-3", "learning_rate = 2e-3"),
    "re-ranking depth": _recipe("rerank_depth = 10", "rerank_depth = 9"),
    "lengths": _recipe("max_length = 16", "max_length = 14"),
}
PROCESSES = "process count"


def trial(place: Place, random: Random, folder: Path) -> str:
    """Kill a run in the midst, change the world, resume it; put the world back, and resume it again."""
    command, what = random.choice(list(CHANGES)), random.choice([*WORLDS, PROCESSES])
    _, expected, operations = place.undisturbed(command)
    world = place.world.copy(folder / "world")
    kill = Kill(random.randint(operations // 8, operations))
    run(world.words(command, folder), folder, kill)
    if not (folder / "runs" / CHANGES[command].get("name", "tiny") / "run.json").exists():
        return f"{command}, {kill}: there was no run yet"
    finished = _is_done(folder, command)
    said = f"{command}, {kill}, other {what}"
    if what == PROCESSES:
        with together(run_cli, world.words(command, folder, resume=True), folder=folder / "said") as ranks:
            codes = [rank.wait() for rank in ranks]
            words = "".join(rank.stderr for rank in ranks)
        if finished and codes == [0, 0]:
            return f"{said}: it was finished"
        if 0 in codes or "Traceback" in words or "process" not in words:
            raise Wrong(f"{said}: exit codes {codes}: {words[-300:]}")
        said = f"{said}: {words.strip().splitlines()[-1][:120]}"
    else:
        WORLDS[what](world)
        ended = run(world.words(command, folder, resume=True), folder)
        if ended.code == 0:
            if finished:
                return _of_one_world(f"{said}: it was finished", folder, expected, None)
            changed = place.folder / f"world-{what.replace(' ', '-')}"
            other = World(changed) if changed.exists() else _changed(place, what, changed)
            _, fresh, _ = place.undisturbed(command, other)
            return _of_one_world(f"{said}: all is of the new world", folder, expected, fresh)
        require_sentence(ended)
        said = f"{said}: {ended.said.strip().splitlines()[-1][:160]}"
    shutil.rmtree(world.folder)
    world = place.world.copy(world.folder)
    ended = run(world.words(command, folder, resume=True), folder)
    if ended.code != 0:
        raise Wrong(f"{said}; put back: exit code {ended.code}: {ended.said[-300:]}")
    require_same(left(folder), expected)
    return said


def _changed(place: Place, what: str, folder: Path) -> World:
    world = place.world.copy(folder)
    WORLDS[what](world)
    return world


def _of_one_world(said: str, folder: Path, before: dict[str, bytes], after: dict[str, bytes] | None) -> str:
    """Return what is said of results that are all of one world; artifacts of both may lie beside them."""
    found = _results(left(folder))
    if found == _results(before) or (after is not None and found == _results(after)):
        return said
    expected = _results(before if after is None else after)
    other = sorted(name for name in expected if found.get(name) != expected[name])
    raise Wrong(f"{said}, but not: {', '.join(other[:4])}")


def _results(all_of: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in all_of.items() if not name.startswith("runs/.artifacts/")}


def _is_done(folder: Path, command: str) -> bool:
    status = folder / "runs" / CHANGES[command].get("name", "tiny") / "status.json"
    return status.exists() and json.loads(status.read_text()).get("state") == "done"
