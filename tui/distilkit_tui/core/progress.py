"""How far a run is: which stages it has, which is under way, what comes then."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import ValidationError

from distilkit.errors import UserError
from distilkit.pipeline.teachers import members
from distilkit.run_folders.record import as_table, number
from distilkit.settings import Recipe, TrainSettings
from distilkit.strategies import Strategy, parse_strategy, strategy_from_table
from distilkit_tui.core.entry import Entry
from distilkit_tui.core.history import StageCurves

TIMED = "time single queries"
GLYPHS = {"done": "✓", "now": "▶", "later": "○", "failed": "✗", "stopped": "■"}


@dataclass(frozen=True)
class Part:
    """One part of a run: what it is called, and whether it is done, now, later, failed or stopped."""

    label: str
    state: str
    trained: bool = True


class Work(NamedTuple):
    """A piece of work: how much of how much, how fast, how many seconds the rest takes."""

    name: str
    done: float
    total: float
    rate: float | None
    left: float | None


def parts(entry: Entry, twin: Entry | None = None) -> list[Part]:
    """Return a run's parts: its teacher's stages, its own (times the points of the grid), evaluation and twin.

    Stages come from the configuration, the place among them from the phase that the run says it is in.
    """
    is_twin, points = entry.record.twin_of is not None, _points(entry)
    own = "label-only" if is_twin else "student"
    roles = [own] if points == 1 else [f"{own} {point}/{points}" for point in range(1, points + 1)]
    names = [] if is_twin else [("teacher", stage) for stage in teacher_stages(entry)]
    names += [(role, stage) for role in roles for stage in student_stages(entry)]
    ended = {"crashed": "failed", "stopped": "stopped", "lost": "failed"}.get(entry.state, "now")
    twin_began = entry.trains_twin or (twin is not None and bool(twin.status.raw))
    trained = entry.state == "done" or twin_began
    at = len(names) + 1 if trained else _place(entry.status.phase, names)
    labels = [": ".join(name) for name in names] + ["evaluation"]
    found = [
        Part(label, "done" if place < at else ended if place == at else "later", place < len(names))
        for place, label in enumerate(labels)
    ]
    if entry.record.twin:
        state = "done" if entry.state == "done" else ended if twin_began else "later"
        found.append(Part("label-only twin", state, False))
    return found


def progress_line(found: list[Part]) -> str:
    """Return a run's parts in a line: `✓ teacher: fine_tune  ▶ student: distil  ○ evaluation`."""
    return "  ".join(f"{GLYPHS[part.state]} {part.label}" for part in found)


def headline(entry: Entry, found: list[Part]) -> str:
    """Return where the run is in a sentence: `stage 2 of 3: student: prediction`."""
    trained = [part for part in found if part.trained]
    for place, part in enumerate(trained, 1):
        if part.state not in ("done", "later"):
            return f"stage {place} of {len(trained)}: {part.label}"
    current = next((part.label for part in found if part.state not in ("done", "later")), "")
    return "finished" if entry.state == "done" else current or entry.status.phase


def work_under_way(entry: Entry) -> Work | None:
    """Return what a run works on; a validation on the way counts as a part of its stage."""
    phase = entry.status.phase
    done, total = entry.status.phase_done, entry.status.phase_total
    if entry.step and not entry.trains_twin and (phase.endswith(": validate") or total == entry.step[1]):
        return Work(phase, *entry.step, entry.rate, entry.eta)
    if done is None or not total:
        return None
    return Work(phase, done, total, entry.status.rate, entry.status.eta)


def whole_run(entry: Entry) -> tuple[float, float] | None:
    """Return the share of a whole run's time that is over, twin included, and the seconds left; None if not said."""
    found = [number(entry.status.whole.get(key)) for key in ("share", "left_s")]
    share, left = found
    return None if share is None or left is None else (share, left)


def of_teacher(entry: Entry, stages: Sequence[StageCurves]) -> list[bool]:
    """Return whether each of a run's stages, in the order they were trained, fine-tunes a teacher.

    A student's stage may have the same name; the teachers' come first.
    """
    left, found = _teacher_trainings(entry), []
    for stage in stages:
        theirs = not stage.trial and left[stage.name] > 0
        left[stage.name] -= theirs
        found.append(theirs)
    return found


def examples_per_step(entry: Entry, teacher: bool) -> int:
    """Return how many examples an optimiser step of the student or of its teacher reads, on one process."""
    section = as_table((as_table(entry.resolved.get("teacher")) if teacher else entry.resolved).get("train"))
    count = 1
    for key in ("per_device_train_batch_size", "gradient_accumulation_steps"):
        count *= int(number(section.get(key)) or 1)
    return count


def student_stages(entry: Entry) -> list[str]:
    """Return the names of the student's stages; none where the configuration cannot be read."""
    try:
        return _names(strategy_from_table(entry.resolved["strategy"]))
    except (UserError, KeyError, TypeError):
        return []


def teacher_stages(entry: Entry) -> list[str]:
    """Return the names of the stages that fine-tune the teacher."""
    try:
        named = entry.resolved["teacher"]["fine_tune"]
        return _names(parse_strategy(named)) if named else []
    except (UserError, KeyError, TypeError, AttributeError):
        return []


def _teacher_trainings(entry: Entry) -> Counter[str]:
    """Return how many teachers have a stage of each name; of an ensemble that cannot be read as of one teacher."""
    try:
        settings = members(Recipe.model_validate(entry.resolved))
        return Counter(name for one in settings if one.fine_tune for name in _names(parse_strategy(one.fine_tune)))
    except (UserError, ValidationError):
        return Counter(teacher_stages(entry))


def _names(strategy: Strategy) -> list[str]:
    return [stage.name for stage in strategy.stages(TrainSettings(), 1)]


def _points(entry: Entry) -> int:
    """Return how many points the run's grid has."""
    count = 1
    for values in as_table(entry.resolved.get("grid")).values():
        count *= len(values) if isinstance(values, list) and values else 1
    return count


def _place(phase: str, names: list[tuple[str, str]]) -> int:
    """Return which part a phase such as `student 2/3, temperature 5: distil` belongs to."""
    role, _, label = phase.rpartition(": ")
    role = role.partition(",")[0]
    # The teacher's ranking (`re-rank test queries`, often without a role) is made before the student is trained.
    if (label.startswith("re-rank") and label.endswith(" queries")) or (role, label) == ("", TIMED):
        return sum(other == "teacher" for other, _ in names)
    if label.startswith("re-rank") or label == TIMED:
        return len(names) if role != "teacher" else 0
    for place, (other, name) in enumerate(names):
        if (role, label) == (other, name):
            return place
    # Tokenising, BM25, validation: of the first stage of theirs.
    return next((place for place, (other, _) in enumerate(names) if other == role), 0)
