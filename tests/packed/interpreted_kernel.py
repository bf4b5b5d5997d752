"""Runs the Triton kernel in its interpreter, for which TRITON_INTERPRET=1 is set before Triton is first imported.

    TRITON_INTERPRET=1 python tests/packed/interpreted_kernel.py RESULTS.safetensors

Writes value and gradients of each case, and whether the self-check passed.
"""

import sys

import torch
from ragged import CASES, SCALES, offsets_of, vectors
from safetensors.torch import save_file

from distilkit.packed.kernel import kernel_squared_error
from distilkit.packed.transfer import self_check

results = {"self_check": torch.tensor(self_check(torch.device("cpu"), torch.float32))}
for name, (lengths, sizes, dtype) in CASES.items():
    if dtype == torch.bfloat16:  # which the interpreter multiplies as if it were integers
        continue
    tensors = vectors(lengths, sizes, dtype)
    # A grid for sequences that are longer than any: tiles past a sequence's end have nothing to do.
    value = kernel_squared_error(*tensors, offsets_of(lengths), max(lengths) + 70, *SCALES)
    value.backward()
    query, key = (tensor.grad for tensor in tensors[:2])
    results |= {f"{name}.value": value.detach(), f"{name}.query": query, f"{name}.key": key}
save_file(results, sys.argv[1])
