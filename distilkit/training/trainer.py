"""The one trainer: runs a stage's optimiser steps on one process or many, and resumes them exactly."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from safetensors.torch import save_file
from torch import Tensor, nn

from distilkit.data.batches import total_steps
from distilkit.data.internals import Internals
from distilkit.errors import RunFailed, is_out_of_memory, lowering, said_of_memory
from distilkit.files import make_folder
from distilkit.models.batch import on_device
from distilkit.packed.encoder import compiles
from distilkit.progress import ProcessGroup, ProgressReporter
from distilkit.strategies.stage import Stage
from distilkit.training.checkpoint import (
    TrainerState,
    latest_checkpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    weights,
)
from distilkit.training.in_batch import BatchShare, random_state, reads_batch, set_random_state, shares_of
from distilkit.training.memory import denormals_flushed
from distilkit.training.objective import Objective, packs
from distilkit.training.optimizer import SparseTables, build_optimizer, learning_rate_factor, warmup_steps
from distilkit.training.precision import Precision
from distilkit.training.processes import leaves_some_alone
from distilkit.training.step_loader import TOKEN_BUDGET, Prefetcher, StepBatch, StepLoader, Tokens, TrainingSet

Validate = Callable[[Any], dict[str, float]]

LOWER = "lower the learning rate, or train in fp32 (--set train.bf16=false)"


@dataclass
class Trainer:
    """Trains one stage.

    `checkpoints` is a folder of this stage's own; a checkpoint found there is taken up. `validate` measures the
    student on the validation queries. `teacher_tokens` are for a teacher that reads another form than the student.
    `internals` are what the teacher computed of the examples before, padded as batches are.
    `packed` trains without padding where the stage allows it; `prefetch` makes a step's batch while the one before it
    is computed; `token_budget` cuts a process's batches by tokens, 0 by per_device_train_batch_size. All three are
    for GPUs, the default there and nowhere else, and unmeasured on one so far.
    After `train` the student holds the best weights (the last where nothing is validated on the way).
    """

    stage: Stage
    objective: Objective
    examples: TrainingSet
    tokens: Tokens
    precision: Precision
    processes: ProcessGroup
    reporter: ProgressReporter
    checkpoints: Path
    validate: Validate
    metric: str
    label: str
    work: float = 0.0
    teacher_tokens: Tokens | None = None
    internals: Internals | None = None
    packed: bool | None = None
    prefetch: bool | None = None
    token_budget: int | None = None

    def __post_init__(self) -> None:
        on_gpu, teacher = self.processes.device.type == "cuda", self.objective.teacher
        packed = (on_gpu if self.packed is None else self.packed) and self.internals is None
        self.loader = StepLoader(
            self.stage,
            self.examples,
            self.tokens,
            None if teacher is None else self.teacher_tokens,
            rank=self.processes.rank,
            processes=self.processes.count,
            packed=packed and packs(self.stage, self.objective.student, teacher),
            token_budget=TOKEN_BUDGET * on_gpu if self.token_budget is None else self.token_budget,
            pin=on_gpu,
            internals=self.internals,
        )
        self._prefetches = on_gpu if self.prefetch is None else self.prefetch
        self.total = total_steps(len(self.examples), self.loader.batch_size, self.stage.train)
        self.state = TrainerState()

    def train(self) -> TrainerState:
        """Run the steps that are left and return what the training came to.

        Raises RunFailed where a loss is not finite, Stopped (after a checkpoint) where the run is asked to stop.
        """
        take_step = self.prepared()
        shown = self.reporter.phase(self.label, self.total, done=self.state.step, training=True, work=self.work)
        with self._prefetcher or nullcontext(), shown as phase:
            while self.state.step < self.total and not self._patience_is_over:
                values = take_step()
                phase.advance(values)
                step, train = self.state.step, self.stage.train
                if step % train.logging_steps == 0 or step == self.total:
                    self.reporter.event("train", self.stage.name, step, values)
                self._validate_on_the_way()
                stop = self.processes.broadcast(self.reporter.stop_requested())
                if stop or (step % train.save_steps == 0 and step < self.total):
                    self._save()
                if stop:
                    self.reporter.stop()
            self._refuse_diverged()
            # Inside the phase, where a request to stop waits: these steps have no checkpoint of their own.
            if not self.state.best_step and self.stage.trains_scores:
                self.state.validation = self.validate(self.objective.student)
                self.reporter.event("validation", self.stage.name, self.state.step, self.state.validation)
        if self.state.best_step:
            load_weights(self._best, self.objective)
        return self.state

    def prepared(self) -> Callable[[], dict[str, float]]:
        """Take up a checkpoint if there is one, and return what takes the next optimiser step and returns its losses.

        `train` is these steps with all that surrounds them: reports, validation, checkpoints, and the end of the thread
        that makes batches ahead, which else ends with the trainer.
        """
        module, optimizer, accelerator = self._prepare()
        self._accelerator, self._optimizer = accelerator, optimizer
        self._prefetcher = Prefetcher(self.loader, self.total) if self._prefetches else None

        def take_step() -> dict[str, float]:
            started, size = time.monotonic(), self.stage.train.per_device_train_batch_size
            key = f"per_device_train_batch_size of the stage {self.stage.name} ({size} now)"
            with lowering(f"{key}, and raise gradient_accumulation_steps by as much"), denormals_flushed():
                values = self._step(module, optimizer, accelerator)
            self.state.step += 1
            self.state.seconds += time.monotonic() - started
            return values

        return take_step

    # ---- before the first step

    def _prepare(self) -> tuple[nn.Module, torch.optim.Optimizer, Accelerator]:
        train = self.stage.train
        self.objective.to(self.processes.device)
        if train.torch_compile:
            self._compile()
        if train.freeze_embeddings:
            _freeze_embeddings(self.objective.student)
        unused = DistributedDataParallelKwargs(find_unused_parameters=self._leaves_some_alone())
        # Accelerate keeps one precision for the whole process, but each stage has its own.
        AcceleratorState._reset_state()
        precision = "no" if self.precision == "fp32" else self.precision
        accelerator = Accelerator(mixed_precision=precision, cpu=self._on_cpu, kwargs_handlers=[unused])
        self._tables = SparseTables(self.objective) if self._on_cpu and self.processes.count == 1 else None
        optimizer = build_optimizer(self.objective, train)
        if checkpoint := self.processes.on_main(lambda: latest_checkpoint(self.checkpoints, self.reporter.say)):
            self.state = load_checkpoint(checkpoint, self.objective, optimizer)
            if (checkpoint / "best.safetensors").exists() and self.processes.is_main:
                self._best.write_bytes((checkpoint / "best.safetensors").read_bytes())
            self.reporter.say(f"{self.label}: resumed from step {self.state.step} of {self.total}")
        module, prepared = accelerator.prepare(self.objective, optimizer)
        if accelerator.scaler is not None and self.state.loss_scale:
            accelerator.scaler.load_state_dict(self.state.loss_scale)
        return module, prepared, accelerator

    def _compile(self) -> None:
        self.objective.compile_layers = self.loader.packed and compiles(self.objective.student, self.objective.teacher)
        if not self.objective.compile_layers:
            self.reporter.say(f"{self.label}: compile has no effect: it is for training without padding, on a GPU")

    def _leaves_some_alone(self) -> bool:
        """Return whether processes that train together must look, step by step, for parameters without a gradient.

        The general stages leave pooler and head alone; a batch may have no masked word.
        """
        if self.processes.count == 1 or self.stage.reads("masked_lm"):
            return True
        batch = self.loader(0)
        buckets = [on_device(bucket, self.processes.device) for bucket in batch.micro_batches[0]]
        return leaves_some_alone(self.objective, self.objective(buckets, self.examples.ways, batch.counts)["loss"])

    # ---- a step

    def _step(self, module: nn.Module, optimizer: torch.optim.Optimizer, accelerator: Accelerator) -> dict[str, float]:
        train, step = self.stage.train, self.state.step
        warmup = warmup_steps(train.warmup_ratio, self.total)
        factor = learning_rate_factor(train.lr_scheduler_type, step, warmup, self.total)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        sums = self._gradients(module, optimizer, accelerator)
        self._clip(accelerator)
        optimizer.step()
        optimizer.zero_grad()
        # Read last: a GPU is waited for here, and has all of the step's work by now.
        values = self._finite(sums)
        return {**values, "learning_rate": train.learning_rate * factor}

    def _gradients(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, accelerator: Accelerator
    ) -> dict[str, Tensor]:
        """Make the step's gradients and return its losses; where memory runs out, in smaller micro-batches.

        These cut the effective batch and change neither it nor its gradient. Processes that train together do not:
        the others would wait for a pass that was given up.
        """
        step = self.state.step
        while True:
            # Seeding each step makes dropout a function of seed and step, which resuming then repeats exactly.
            seed = np.random.SeedSequence([self.stage.seed, 4, step, self.processes.rank])
            torch.manual_seed(seed.generate_state(1)[0])
            module.train()
            try:
                return self._backward(module, accelerator, (self._prefetcher or self.loader)(step))
            except Exception as error:
                if not is_out_of_memory(error) or self.processes.count > 1 or not self.loader.shrink():
                    raise
                said = said_of_memory(error)
            # Outside of the block above, where the error holds on to the tensors of the pass that was given up.
            optimizer.zero_grad()
            if self._prefetcher is not None:
                self._prefetcher.forget()
            if self.processes.device.type == "cuda":
                torch.cuda.empty_cache()
            cut = f"micro-batches have {self.loader.micro_batch} from here on"
            left = f"{cut}, and a step reads {self.loader.batch_size} as before"
            self.reporter.say(f"{self.label}: step {step + 1}: {said}; {left}")

    def _backward(self, module: nn.Module, accelerator: Accelerator, batch: StepBatch) -> dict[str, Tensor]:
        """Add up the gradients of this process's micro-batches, and return its share of the losses."""
        sums: dict[str, Tensor] = {}
        scale = self.processes.count if batch.own else 0
        shares = self._of_whole_batch(accelerator, batch) if reads_batch(self.stage, self.objective.student) else []
        for number, micro_batch in enumerate(batch.micro_batches, 1):
            buckets = [on_device(bucket, self.processes.device) for bucket in micro_batch]
            # Processes may have unequal numbers of micro-batches: DDP speaks to the others in a step's first forward
            # pass and its last backward pass alone.
            with accelerator.no_sync(module) if number < len(batch.micro_batches) else nullcontext():
                own: tuple[BatchShare, ...] = ()
                if shares:
                    share, state = shares[number - 1]
                    own = (share,)
                    set_random_state(state, self.processes.device)
                losses = module(buckets, self.examples.ways, batch.counts, *own)
                # DDP averages gradients over processes, and the losses are shares of a sum.
                accelerator.backward(losses["loss"] * scale)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0) + value.detach() * (scale > 0)
        return sums

    def _of_whole_batch(self, accelerator: Accelerator, batch: StepBatch) -> list[tuple[BatchShare, list[Tensor]]]:
        """Return each micro-batch's share of a loss of the whole batch, and the random state that it was encoded by."""
        device, ways, parts, states = self.processes.device, self.examples.ways, [], []
        with torch.no_grad(), accelerator.autocast():
            for micro_batch in batch.micro_batches if batch.own else []:
                states.append(random_state(device))
                parts.append(self.objective.encoded_lists([on_device(one, device) for one in micro_batch], ways))
        how = self.stage, parts, batch.counts, self.processes, self.objective.in_batch_teacher
        shares = shares_of(self.objective.student, *how)
        return list(zip(shares, states, strict=True))

    def _clip(self, accelerator: Accelerator) -> None:
        """Scale the step's gradients down to `max_grad_norm`, and make those of large tables dense."""
        train = self.stage.train
        clips = train.max_grad_norm > 0 and train.optim == "adamw"  # the other clips for itself
        if self._tables is not None:
            if clips:
                self._tables.clip(train.max_grad_norm)
            self._tables.fill()
        elif clips:
            accelerator.clip_grad_norm_(self.objective.parameters(), train.max_grad_norm)

    def _finite(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """Return the losses of the whole batch; raises RunFailed where one is not finite."""
        names = list(sums)
        stacked = torch.stack([sums[name].float() for name in names])
        values = dict(zip(names, self._accelerator.reduce(stacked, "sum").tolist(), strict=True))
        if not all(math.isfinite(value) for value in values.values()):
            shown = ", ".join(f"{name} {value:g}" for name, value in values.items())
            raise RunFailed(
                f"stage {self.stage.name}, step {self.state.step + 1} of {self.total}: a loss is not finite ({shown}); "
                f"{LOWER}"
            )
        return values

    # ---- between steps

    def _validate_on_the_way(self) -> None:
        """Measure the student where the curve has a point, and where a better checkpoint is looked for."""
        step, train = self.state.step, self.stage.train
        if not self.stage.trains_scores:
            return
        pairs = self.loader.batch_size * self.examples.ways
        points = [examples for examples in train.eval_examples if math.ceil(examples / pairs) == step]
        choosing = bool(train.eval_steps) and (step % (train.eval_steps or 1) == 0 or step == self.total)
        if not points and not choosing:
            return
        values = self.validate(self.objective.student)
        examples = points[0] if points else step * pairs
        self.state.curve.append({"examples": examples, "step": step, "seconds": self.state.seconds, **values})
        self.reporter.event("curve", self.stage.name, step, {"examples": examples, **values})
        if choosing:
            self._keep_best(values)

    def _keep_best(self, values: dict[str, float]) -> None:
        self._refuse_diverged()
        self.reporter.event("validation", self.stage.name, self.state.step, values)
        value = values[self.metric]
        self.state.worse += 1
        if self.state.best_value is None or value > self.state.best_value:
            self.state.best_value, self.state.best_step, self.state.worse = value, self.state.step, 0
            self.state.validation = values
            if self.processes.is_main:
                make_folder(self.checkpoints)
                save_file(weights(self.objective), self._best)
        self.processes.wait()

    @property
    def _patience_is_over(self) -> bool:
        patience = self.stage.train.early_stopping_patience
        return patience is not None and self.state.worse >= patience

    def _refuse_diverged(self) -> None:
        """Raise RunFailed where weights are not finite, which a loss shows in the next step only."""
        for name, value in self.objective.named_parameters():
            if not bool(torch.isfinite(value).all()):
                raise RunFailed(
                    f"stage {self.stage.name}, step {self.state.step} of {self.total}: the weights {name} are not "
                    f"finite; {LOWER}"
                )

    def _save(self) -> None:
        self._refuse_diverged()
        if self._accelerator.scaler is not None:
            self.state.loss_scale = self._accelerator.scaler.state_dict()
        if self.processes.is_main:
            self.reporter.sync()  # a checkpoint's events are there when it is
            path = save_checkpoint(self.checkpoints, self.objective, self._optimizer, self.state, self._best)
            self.reporter.event("checkpoint", self.stage.name, self.state.step, {})
            self.reporter.say(f"{self.label}: checkpoint {path.name}", quiet=True)
        self.processes.wait()

    @property
    def _best(self) -> Path:
        return self.checkpoints / "best.safetensors"

    @property
    def _on_cpu(self) -> bool:
        return self.processes.device.type == "cpu"


def _freeze_embeddings(student: nn.Module) -> None:
    """Leave out of training what the encoder's first states are made of."""
    embeddings = getattr(getattr(student, "encoder", student), "embeddings", None)
    if embeddings is not None:
        embeddings.requires_grad_(False)
