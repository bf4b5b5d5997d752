"""What a machine without a network lacks: MiniLM's weights in bfloat16, and wheels of small dependencies."""

import subprocess
import sys
from pathlib import Path

from benchmarks.gpu_session.world import MINILM

# What an image with torch, transformers, accelerate, pandas, pyarrow and rich does not have.
WHEELS = (
    "bm25s",
    "ir-measures",
    "pytrec-eval-terrier",
    "py3langid",
    "PyStemmer",
    "pydantic",
    "pydantic-core",
    "typing-inspection",
    "annotated-types",
    "cwl-eval",
    "deprecated",
)
PYTHON, GLIBC = "3.12", ("2_28", "2_27", "2_17", "2014", "1")
LIMIT = 64 * 2**20


def pack(folder: Path, python: str = PYTHON) -> str:
    """Gather the weights in `folder/minilm` and the wheels in `folder/wheels`; return how they are used there."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder / "minilm")
    platforms = [f"manylinux{'' if one.isdigit() else '_'}{one}_x86_64" for one in GLIBC]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", python, "--implementation", "cp", "--dest", str(folder / "wheels")]
    command += [word for one in platforms for word in ("--platform", one)]
    left = [name for name in WHEELS if subprocess.run([*command, name], stderr=subprocess.DEVNULL).returncode]
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    lines = [f"{folder}: {size / 2**20:.0f} MiB" + (f", OVER the limit of {LIMIT >> 20}" if size > LIMIT else "")]
    lines += [f"no wheel found of {', '.join(left)}"] if left else []
    lines += [
        f"there: python3 -m pip install --quiet --no-index --no-deps --target /tmp/site {folder}/wheels/*.whl",
        f"PYTHONPATH=/tmp/site:tui python3 -m benchmarks gpu_session --teacher {folder}/minilm --output OUTPUT",
    ]
    return "\n".join(lines)


def save_weights(folder: Path) -> None:
    """Save the weights of the package's MiniLM in bfloat16, half as large, with its tokenizer."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    from distilkit.models.references import local_folder

    source = local_folder(MINILM)
    AutoModel.from_pretrained(source, dtype=torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
