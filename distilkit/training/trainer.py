"""The one trainer: runs a stage's optimiser steps on one process or many, and resumes them exactly."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from safetensors.torch import save_file

from distilkit.data.batches import Schedule, micro_batches, total_steps
from distilkit.data.examples import Lists
from distilkit.data.tokens import PairTokens
from distilkit.errors import RunFailed
from distilkit.models.batch import TokenBatch
from distilkit.models.cat import BertCat
from distilkit.runs.reporter import Reporter
from distilkit.strategies.stage import Stage
from distilkit.training.checkpoint import (
    TrainerState,
    latest_checkpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    weights,
)
from distilkit.training.objective import Counts, MicroBatch, Objective
from distilkit.training.precision import Precision
from distilkit.training.processes import Processes
from distilkit.training.schedule import learning_rate_factor, warmup_steps

Integers = npt.NDArray[np.int64]
Validate = Callable[[BertCat], dict[str, float]]


@dataclass(frozen=True)
class TrainingSet:
    """A stage's examples as arrays: queries and passages [n, ways], labels [n, ways]; ways is 1 for plain pairs."""

    queries: Integers
    passages: Integers
    labels: Integers

    @classmethod
    def of_lists(cls, lists: Lists, pairs: bool) -> "TrainingSet":
        """Take lists as they are, or each of their pairs as an example of its own."""
        queries = np.repeat(lists.queries[:, None], lists.passages.shape[1], axis=1)
        labels = np.zeros_like(lists.passages)
        labels[:, 0] = 1
        shape = (-1, 1) if pairs else lists.passages.shape
        return cls(queries.reshape(shape), lists.passages.reshape(shape), labels.reshape(shape))

    def __len__(self) -> int:
        return len(self.queries)


@dataclass
class Trainer:
    """Trains one stage.

    `checkpoints` is a folder of this stage's own; a checkpoint found there is taken up. `validate` measures the
    student on the validation queries. After `train` the student holds the best weights (the last where nothing is
    validated on the way).
    """

    stage: Stage
    objective: Objective
    examples: TrainingSet
    tokens: PairTokens
    precision: Precision
    processes: Processes
    reporter: Reporter
    checkpoints: Path
    validate: Validate
    metric: str
    label: str
    work: float = 0.0

    def __post_init__(self) -> None:
        train = self.stage.train
        lengths = self.tokens.lengths(self.examples.queries.ravel(), self.examples.passages.ravel())
        self._lengths = lengths.reshape(self.examples.queries.shape)
        batch = train.per_device_train_batch_size * train.gradient_accumulation_steps * self.processes.count
        self._schedule = Schedule(self._lengths.max(axis=1), batch, self.stage.seed)
        self.total = total_steps(len(self.examples), batch, train)
        self.state = TrainerState()
        self._epoch, self._batches = -1, list[Integers]()

    def train(self) -> TrainerState:
        """Run the steps that are left and return what the training came to.

        Raises RunFailed where a loss is not finite, Stopped (after a checkpoint) where the run is asked to stop.
        """
        module, optimizer, accelerator = self._prepare()
        student = self.objective.student
        started = time.monotonic() - self.state.seconds
        with self.reporter.phase(self.label, self.total, done=self.state.step, training=True, work=self.work) as phase:
            while self.state.step < self.total:
                values = self._step(module, optimizer, accelerator)
                self.state.step += 1
                self.state.seconds = time.monotonic() - started
                phase.advance(values)
                step, train = self.state.step, self.stage.train
                if step % train.logging_steps == 0 or step == self.total:
                    self.reporter.event("train", self.stage.name, step, values)
                if train.eval_steps and (step % train.eval_steps == 0 or step == self.total):
                    self._keep_best(student)
                stop = self.processes.broadcast(self.reporter.stop_requested())
                if stop or (step % train.save_steps == 0 and step < self.total):
                    self._save(optimizer)
                if stop:
                    self.reporter.stop()
            # Inside the phase, where a request to stop waits: these steps have no checkpoint of their own.
            if not self.state.best_step:
                self.state.validation = self.validate(student)
                self.reporter.event("validation", self.stage.name, self.state.step, self.state.validation)
        if self.state.best_step:
            load_weights(self._best, self.objective)
        return self.state

    def _prepare(self) -> tuple[torch.nn.Module, torch.optim.Optimizer, Accelerator]:
        train = self.stage.train
        precision = "no" if self.precision == "fp32" else self.precision
        # The general stages leave pooler and head alone, which plain DDP would wait for.
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        # Accelerate keeps one precision for the whole process, but each stage has its own.
        AcceleratorState._reset_state()
        accelerator = Accelerator(mixed_precision=precision, cpu=self._on_cpu, kwargs_handlers=[unused])
        self.objective.to(self.processes.device)
        if train.freeze_embeddings:
            self.objective.student.encoder.embeddings.requires_grad_(False)
        optimizer = torch.optim.AdamW(
            _groups(self.objective, train.weight_decay), lr=train.learning_rate, eps=train.adam_epsilon, fused=True
        )
        if checkpoint := latest_checkpoint(self.checkpoints):
            self.state = load_checkpoint(checkpoint, self.objective, optimizer)
            if (checkpoint / "best.safetensors").exists() and self.processes.is_main:
                self._best.write_bytes((checkpoint / "best.safetensors").read_bytes())
            self.reporter.say(f"{self.label}: resumed from step {self.state.step} of {self.total}")
        module, prepared = accelerator.prepare(self.objective, optimizer)
        if accelerator.scaler is not None and self.state.loss_scale:
            accelerator.scaler.load_state_dict(self.state.loss_scale)
        self._accelerator = accelerator
        return module, prepared, accelerator

    def _step(
        self, module: torch.nn.Module, optimizer: torch.optim.Optimizer, accelerator: Accelerator
    ) -> dict[str, float]:
        train, step = self.stage.train, self.state.step
        # Seeding each step makes dropout a function of seed and step, which resuming then repeats exactly.
        torch.manual_seed(np.random.SeedSequence([self.stage.seed, 4, step, self.processes.rank]).generate_state(1)[0])
        factor = learning_rate_factor(
            train.lr_scheduler_type, step, warmup_steps(train.warmup_ratio, self.total), self.total
        )
        for group in optimizer.param_groups:
            group["lr"] = train.learning_rate * factor
        batch = self._batch(step)
        counts = self._counts(batch)
        module.train()
        sums: dict[str, torch.Tensor] = {}
        scale = self.processes.count if len(batch) > self.processes.rank else 0
        parts = self._parts(batch)
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            with accelerator.no_sync(module) if not last else nullcontext():
                losses = module(self._micro_batches(part), self.examples.queries.shape[1], counts)
                # DDP averages gradients over processes, and the losses are shares of a sum.
                accelerator.backward(losses["loss"] * scale)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0) + value.detach() * (scale > 0)
        if train.max_grad_norm:
            accelerator.clip_grad_norm_(self.objective.parameters(), train.max_grad_norm)
        values = self._finite(sums)
        optimizer.step()
        optimizer.zero_grad()
        return {**values, "learning_rate": train.learning_rate * factor}

    def _batch(self, step: int) -> Integers:
        epoch, index = divmod(step, self._schedule.steps_per_epoch)
        if self._epoch != epoch:
            self._epoch, self._batches = epoch, self._schedule.epoch(epoch)
        return self._batches[index]

    def _parts(self, batch: Integers) -> list[Integers]:
        """Return this process's share of a batch, cut into accumulation steps."""
        mine = batch[self.processes.rank :: self.processes.count]
        size = self.stage.train.per_device_train_batch_size
        # A process without an example of its own still takes part; its losses count for nothing.
        return [mine[at : at + size] for at in range(0, len(mine), size)] or [batch[:1]]

    def _counts(self, batch: Integers) -> Counts:
        lengths = self._lengths[batch]
        return Counts(lengths.size, len(batch), int(lengths.sum()), int((lengths**2).sum()))

    def _micro_batches(self, part: Integers) -> list[MicroBatch]:
        queries, passages = self.examples.queries[part].ravel(), self.examples.passages[part].ravel()
        labels, lengths = self.examples.labels[part].ravel(), self._lengths[part].ravel()
        released = self.stage.variant == "released_code"
        groups = [np.arange(len(queries))] if released or self.processes.device.type == "cuda" else None
        batches = []
        for group in groups or micro_batches(lengths):
            # The released code pads to the full length, and its means count the padding.
            columns = self.tokens.batch(queries[group], passages[group], self.tokens.max_length if released else None)
            batches.append(
                MicroBatch(
                    TokenBatch(**{name: torch.from_numpy(value) for name, value in columns.items()}).to(
                        self.processes.device
                    ),
                    torch.from_numpy(labels[group]).to(self.processes.device),
                    torch.from_numpy(group).to(self.processes.device),
                )
            )
        return batches

    def _finite(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        names = list(sums)
        stacked = torch.stack([sums[name].float() for name in names])
        values = dict(zip(names, self._accelerator.reduce(stacked, "sum").tolist(), strict=True))
        if not all(math.isfinite(value) for value in values.values()):
            shown = ", ".join(f"{name} {value:g}" for name, value in values.items())
            raise RunFailed(
                f"stage {self.stage.name}, step {self.state.step + 1} of {self.total}: a loss is not finite ({shown}); "
                "lower the learning rate, or train in fp32 (--set train.bf16=false)"
            )
        return values

    def _keep_best(self, student: BertCat) -> None:
        values = self.validate(student)
        self.reporter.event("validation", self.stage.name, self.state.step, values)
        value = values[self.metric]
        if self.state.best_value is None or value > self.state.best_value:
            self.state.best_value, self.state.best_step = value, self.state.step
            self.state.validation = values
            if self.processes.is_main:
                self.checkpoints.mkdir(parents=True, exist_ok=True)
                save_file(weights(self.objective), self._best)
        self.processes.state.wait_for_everyone()

    def _save(self, optimizer: torch.optim.Optimizer) -> None:
        if self._accelerator.scaler is not None:
            self.state.loss_scale = self._accelerator.scaler.state_dict()
        if self.processes.is_main:
            path = save_checkpoint(self.checkpoints, self.objective, optimizer, self.state, self._best)
            self.reporter.event("checkpoint", self.stage.name, self.state.step, {})
            self.reporter.say(f"{self.label}: checkpoint {path.name}", quiet=True)
        self.processes.state.wait_for_everyone()

    @property
    def _best(self) -> Path:
        return self.checkpoints / "best.safetensors"

    @property
    def _on_cpu(self) -> bool:
        return self.processes.device.type == "cpu"


def _groups(module: torch.nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Decay matrices, but neither biases nor LayerNorm weights."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
