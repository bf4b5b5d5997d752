"""Where trials happen: a small collection, rankers and recipes, commands that use them, and what those must leave."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cli_processes import started
from tiny_worlds import recipe_text, write_beir, write_checkpoint

from tests.campaign.command import Ended, run

# Several checkpoints and a best one of every stage, with dropout: what a resume forgets shows in the weights.
STAGES = {
    "train.num_train_epochs": 4.0,
    "train.eval_steps": 9,
    "train.save_steps": 6,
    "student.dropout": 0.2,
    "teacher.dropout": 0.2,
    "teacher.train.num_train_epochs": 2.0,
    "teacher.train.eval_steps": 9,
    "teacher.train.save_steps": 6,
}
CHANGES = {
    "run": {},
    "scored": {"strategy": '{ name = "margin_mse" }', "twin.budget": "none", "name": "scored"},
    "grid": {"grid": '{ "strategy.temperature" = [1.0, 2.0] }', "twin.budget": "none", "name": "grid"},
}
COMMANDS = (*CHANGES, "score", "retrieve")

Left = Mapping[str, bytes]
"""What commands left: bytes by file."""


class Wrong(AssertionError):  # noqa: N818
    """A trial did not end as it must; says how."""


@dataclass(frozen=True)
class World:
    """A collection, a teacher, another ranker that searches, and the recipe over them, in one folder."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "World":
        """Write it; in a process of its own, so that this one stays without threads of torch."""
        with started(_write, folder, folder=folder.parent / "said") as process:
            if process.wait() != 0:
                raise RuntimeError(process.stderr)
        return cls(folder)

    def copy(self, folder: Path) -> "World":
        """Return a copy that a trial may change."""
        shutil.copytree(self.folder, folder)
        found = World(folder)
        found.recipe.write_text(recipe_text(found.collection, found.teacher))
        return found

    @property
    def collection(self) -> Path:
        """The BEIR folder."""
        return self.folder / "tiny"

    @property
    def teacher(self) -> Path:
        """The cross-encoder that teachers start from."""
        return self.folder / "teacher"

    @property
    def recipe(self) -> Path:
        """The recipe."""
        return self.folder / "recipe.toml"

    def words(self, command: str, place: Path, resume: bool = False) -> list[str]:
        """Return the words of a command that works in a folder."""
        runs = place / "runs"
        if command == "score":
            pairs = ["--pairs", self.folder / "pairs.tsv", "--data", self.collection]
            models = [word for name in ("teacher", "other") for word in ("--model", f"{name}={self.folder / name}")]
            return list(map(str, ["score", *models, *pairs, "--output", place / "scores.parquet", "--resume"]))
        if command == "retrieve":
            # In fp32, as the others: what "auto" takes is measured in each folder, and differs on a busy machine.
            where = [
                "--output",
                place / "found.trec",
                "--index",
                place / "index",
                "--runs-dir",
                runs,
                "--bf16",
                "false",
            ]
            return list(map(str, ["retrieve", self.folder / "dot", "--data", self.collection, *where]))
        settings = {**STAGES, **CHANGES[command]}
        sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        more = ["--resume", "auto"] if resume else []
        return list(map(str, ["run", self.recipe, "--runs-dir", runs, *sets, *more]))


def left(place: Path) -> Left:
    """Return what commands left in a folder: models, results, scores; not costs, which no two runs agree on.

    A model's card tells costs too.
    """
    found = {}
    files = [*place.glob("*.parquet"), *place.glob("*.trec"), *place.glob("index/*.safetensors")]
    for kind in ("model", "eval"):
        files += [path for path in place.glob(f"runs/*/{kind}/**/*") if path.is_file()]
    files += place.glob("runs/.artifacts/*/*/model/model.safetensors")
    for path in files:
        aside = any(part.endswith(".damaged") for part in path.parts)
        if path.name not in ("cost.json", "manifest.json", "README.md") and not path.name.startswith(".") and not aside:
            found[str(path.relative_to(place))] = path.read_bytes()
    return found


def require_same(found: Left, expected: Left) -> None:
    """Raise Wrong where what was left is not what an undisturbed command leaves."""
    missing, more = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    other = sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])
    problems = [f"{what}: {', '.join(names[:3])}" for what, names in (("missing", missing), ("more", more)) if names]
    problems += [f"other content: {', '.join(other[:3])}"] if other else []
    if problems:
        raise Wrong("; ".join(problems))


def require_sentence(ended: Ended) -> None:
    """Raise Wrong unless a command that failed said so in one sentence."""
    last = ended.said.strip().splitlines()[-1:] or [""]
    if "Traceback" in ended.said or ended.code not in (1, 2) or not re.match("(distilkit|Error): ?.{20,}", last[0]):
        raise Wrong(f"exit code {ended.code}: {' / '.join(ended.said.strip().splitlines()[-2:])[-400:]}")


@dataclass
class Place:
    """The folder of a campaign: its world, and what undisturbed commands leave and how much they write."""

    folder: Path

    def __post_init__(self) -> None:
        self.world = World.make(self.folder / "world")
        self._done: dict[str, tuple[Path, Left, int]] = {}

    def undisturbed(self, command: str, world: World | None = None) -> tuple[Path, Left, int]:
        """Return where an undisturbed command worked, what it left, and how many operations on files it took."""
        key = f"{command}-{world.folder.name}" if world else command
        if key not in self._done:
            place = self.folder / f"undisturbed-{key}"
            ended = run((world or self.world).words(command, place), place)
            if ended.code != 0:
                raise RuntimeError(f"{command}: {ended.said}")
            self._done[key] = place, left(place), ended.operations
        return self._done[key]


def _write(folder: Path) -> None:
    from tiny_rankers import save_tiny

    world = World(folder)
    write_beir(world.collection)
    for number, name in enumerate(("teacher", "other")):
        write_checkpoint(folder / name, seed=number)
    save_tiny(folder / "dot", folder / "teacher", "bert_dot")
    world.recipe.write_text(recipe_text(world.collection, world.teacher))
    pairs = [f"q{query}\td{passage}\n" for query in range(34) for passage in range(0, 40, 3)]
    (folder / "pairs.tsv").write_text("".join(pairs))
