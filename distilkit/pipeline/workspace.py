"""Where a graph is computed: the folder of artifacts, the processes that build them, and who is told how far it is."""

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

from distilkit.files import atomic_folder, read_json, remove_leftovers, set_aside
from distilkit.manifest import MANIFEST, damage, write_manifest
from distilkit.pipeline.graph import FORMAT, Artifact, Node, walk
from distilkit.pipeline.precision import measured_once
from distilkit.pipeline.rates import Rates
from distilkit.pipeline.reporter import Reporter
from distilkit.progress import ProcessGroup
from distilkit.run_folders.folder import machine
from distilkit.run_folders.lock import Lock
from distilkit.run_folders.uses import Uses
from distilkit.training.precision import AutoPrecision, Precision, auto_precision, choose_precision

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

PRECISION = "precision.json"
RATES = "rates.json"


@dataclass
class Workspace:
    """Builds nodes and keeps them.

    Attributes:
        root: the folder of artifacts, `KIND/KEY/`; `runs/.artifacts` for runs
        processes: those that build together; all of them call the same methods in the same order
        progress: is told how far the work is, and asks it to stop
        checkpoints: where a stage keeps what it resumes from
        tried: keys of the stages that were checked, and of the first steps that were tried
        auto: what `bf16 = "auto"` comes to; decided when it is first asked for, where a run has not recorded it
        used: the artifacts that were asked for, as `KIND/KEY`
    """

    root: Path
    processes: ProcessGroup
    progress: Reporter
    checkpoints: Path | None = None
    auto: AutoPrecision | None = None
    used: set[str] = field(default_factory=set, repr=False)
    tried: set[str] = field(default_factory=set, repr=False)
    _values: dict[str, Any] = field(default_factory=dict, repr=False)
    _built: set[str] = field(default_factory=set, repr=False)
    _building: list[str] = field(default_factory=list, repr=False)
    _uses: Uses | None = field(default=None, repr=False)
    _rates: Rates | None = field(default=None, repr=False)

    def path(self, node: Artifact[Any]) -> Path:
        """Return where an artifact is, or will be."""
        return self.root / node.address

    def has(self, node: Artifact[Any]) -> bool:
        """Return whether an artifact is complete, by the sizes of its files."""
        return damage(self.path(node), content=False) is None

    def facts(self, node: Artifact[Any]) -> dict[str, Any]:
        """Return the manifest of a complete artifact, with the facts that its builder left."""
        facts: dict[str, Any] = read_json(self.path(node) / MANIFEST)
        return facts

    def precision(self, bf16: bool | str, fp16: bool = False) -> Precision:
        """Return the precision that settings come to on this machine's device, the same in all processes."""
        return choose_precision(bf16, fp16, self.processes.device, self._auto_of)

    def _auto_of(self, device: "torch.device") -> AutoPrecision:
        if self.auto is None:
            measured = partial(measured_once, self.root / PRECISION)
            self.auto = self.processes.on_main(lambda: auto_precision(device, measured))
        return self.auto

    @property
    def rates(self) -> Rates:
        """The seconds of steps and pairs that were measured on this machine."""
        return self._rates or self.read_rates()

    def read_rates(self, threads: int | None = None) -> Rates:
        """Read what is known of processes of so many threads, of this one's number by default, and return it."""
        import torch

        group = f"{self.processes.count} processes on {self.processes.device.type}"
        count = torch.get_num_threads() if threads is None else threads
        name = f"{machine()['cpu']}, {count} threads, {group}, torch {torch.__version__}"
        self._rates = Rates.read(self.root / RATES, name)
        return self._rates

    @cached_property
    def pace(self) -> float | None:
        """The multiply-accumulates a second at which stages were trained here before, on the median; read once."""
        found = []
        for path in (path for kind in ("teacher", "stage") for path in self.root.glob(f"{kind}/*/{MANIFEST}")):
            with suppress(OSError, ValueError, KeyError, TypeError):  # an artifact that is damaged or being removed
                facts = read_json(path)
                found.append(facts["macs"] / facts["seconds"])
        return median(found) if found else None

    def prepare(self, *targets: Node[Any]) -> None:
        """Build every artifact that is missing of the targets and of what they are made of, inputs first."""
        for node in walk(targets, self.is_done):
            if isinstance(node, Artifact):
                self._build(node)

    def value(self, node: Node[T]) -> T:
        """Return a node's result, opened or computed once; builds what is missing.

        While an artifact is built its declared inputs are there, and nothing else is built.
        """
        if not self._building:
            self.prepare(node)
        elif isinstance(node, Artifact) and node.key not in self._built:
            raise AssertionError(f"{node.kind} is not a declared input of the {self._building[-1]} that reads it")
        if node.key not in self._values:
            self._values[node.key] = node.value(self)
        found: T = self._values[node.key]
        return found

    def knows(self, node: Node[Any]) -> bool:
        """Return whether a result is in memory."""
        return node.key in self._values

    def forget(self, node: Node[Any]) -> None:
        """Let go of a result that is large in memory."""
        self._values.pop(node.key, None)

    def is_done(self, node: Node[Any]) -> bool:
        if not isinstance(node, Artifact):
            return False
        self.used.add(node.address)
        if node.key not in self._built and self.processes.on_main(lambda: self._finds(node)):
            self._built.add(node.key)
        return node.key in self._built

    def _finds(self, node: Artifact[Any]) -> bool:
        """Return whether an artifact is whole, byte for byte, and keep it from being removed from now on."""
        if self._uses is None:
            self._uses = Uses(self.root)
        self._uses.state(node.address)
        return damage(self.path(node)) is None

    def _build(self, node: Artifact[Any]) -> None:
        """Build an artifact in a temporary folder, which then takes its name; wait for another run that builds it."""
        on_main, path = self.processes.on_main, self.path(node)
        lock = Lock(self.root / node.kind / f"{node.key}.lock")
        self._building.append(node.kind)
        started = time.monotonic()
        try:
            if not (built_by_another := on_main(lambda: self._claim(node, lock))):
                with ExitStack() as stack:
                    folder = on_main(lambda: stack.enter_context(atomic_folder(path)))
                    # A process that fails in a build of all says nothing to the others: they may be anywhere in it.
                    # They fail too when it ends.
                    facts = node.build(folder, self) if node.together else on_main(lambda: node.build(folder, self))
                    on_main(lambda: self._finish(node, folder, facts or {}, stack, lock))
            self._built.add(node.key)
        finally:
            self._building.pop()
            lock.release()
        if built_by_another:  # the forecast of this run has it no more, nor the time of waiting for it
            self.progress.whole.leave(node.work(self), time.monotonic() - started)

    def _claim(self, node: Artifact[Any], lock: Lock) -> bool:
        """Wait for the right to build an artifact; return whether another run built it meanwhile."""
        if not lock.acquire():
            self.progress.say(f"waiting for another run that is building the same {node.kind}")
            while not lock.acquire():
                self.progress.heartbeat(expect_next=60, waiting=node.address)
                self.progress.raise_if_stopped()
                time.sleep(0.2)
        path = self.path(node)
        found = damage(path)
        if found is None:
            lock.path.unlink(missing_ok=True)
            return True
        # Left by a build that was killed; no other can be under way, since the lock is ours.
        remove_leftovers(path)
        if path.exists():
            aside = set_aside(path)
            self.progress.say(f"{path} is damaged: {found}; it is set aside as {aside.name} and made again")
        return False

    def _finish(self, node: Artifact[Any], folder: Path, facts: dict[str, Any], stack: ExitStack, lock: Lock) -> None:
        """Write the manifest, which makes the artifact complete, and let the folder take its name."""
        made_of = {"kind": node.kind, "format": FORMAT, **node.identity()}
        write_manifest(folder, {"key": node.key, "made_of": made_of, **facts})
        stack.close()
        lock.path.unlink(missing_ok=True)
