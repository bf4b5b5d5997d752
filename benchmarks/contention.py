"""Training beside other work on the same cores: how long torch's threads wait for each other before they sleep."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness import Goal, Options, Row, Spread
from distilkit.cli import SPINS, patient_threads

# Prints training steps a second of three layers of MiniLM's size, in as many threads as there are cores.
STEPS = """
import sys, time, torch
layer = torch.nn.TransformerEncoderLayer(384, 12, 1536, batch_first=True)
model, batch = torch.nn.TransformerEncoder(layer, 3, enable_nested_tensor=False), torch.randn(32, 48, 384)
def step():
    model.zero_grad()
    model(batch).sum().backward()
step()
start, count = time.perf_counter(), 0
while time.perf_counter() - start < float(sys.argv[1]):
    step()
    count += 1
print(count / (time.perf_counter() - start))
"""


def run(options: Options) -> Iterator[Row]:
    """Steps a second with the setting of distilkit's commands over those without, on an idle and on a busy machine."""
    seconds = 0.2 if options.quick else 6.0
    for busy in (False, True):
        with _others(2 * (os.cpu_count() or 1) if busy else 0):
            ratios = [_steps(seconds, patient=True) / _steps(seconds, patient=False) for _ in range(options.rounds)]
        yield Row(
            f"a training step beside {'two other processes a core' if busy else 'nothing else'}",
            Spread.of(ratios),
            goal=Goal(at_least=1.5 if busy else 0.95),
            note=f"GOMP_SPINCOUNT={SPINS} over the default; by the clock, in all cores' threads",
        )


def _steps(seconds: float, patient: bool) -> float:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "MKL_"))}
    if patient:
        patient_threads(environment)
    command = [sys.executable, "-c", STEPS, str(seconds)]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


@contextmanager
def _others(number: int) -> Iterator[None]:
    """Keep processes that compute without end beside the block."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()
