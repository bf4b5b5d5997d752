"""How far a run is: which stages it has, which is under way, what comes then."""

from dataclasses import dataclass
from typing import NamedTuple

from distilkit.errors import UserError
from distilkit.runs.record import as_table, number
from distilkit.settings import TrainSettings
from distilkit.strategies import Strategy, parse_strategy, strategy_from_table
from distilkit_tui.core.entry import Entry

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
    twin_began = twin is not None and bool(twin.status.raw)
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
    if entry.step and (phase.endswith(": validate") or total == entry.step[1]):
        return Work(phase, *entry.step, entry.rate, entry.eta)
    if done is None or not total:
        return None
    return Work(phase, done, total, entry.status.rate, entry.status.eta)


def examples_per_step(entry: Entry, stage: str) -> int:
    """Return how many examples an optimiser step of a stage reads, on one process."""
    of_teacher = stage in teacher_stages(entry) and stage not in student_stages(entry)
    section = as_table((as_table(entry.resolved.get("teacher")) if of_teacher else entry.resolved).get("train"))
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
    if label.startswith("re-rank") and role != "teacher":
        return len(names)
    for place, (other, name) in enumerate(names):
        if (role, label) == (other, name):
            return place
    # Tokenising, BM25, validation: of the first stage of theirs.
    return next((place for place, (other, _) in enumerate(names) if other == role), 0)
