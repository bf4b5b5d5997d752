"""Compiles the Triton kernels for a Hopper GPU, which takes none, and prints the matrix instructions of each.

python tests/packed/compiled_kernel.py
"""

import re

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from distilkit.packed import kernel

CONSTANTS = {
    "heads": 12,
    "student_size": 32,
    "student_width": 32,
    "teacher_size": 64,
    "teacher_width": 64,
    "block": kernel.BLOCK,
}
TYPES = {"student_scale": "fp32", "teacher_scale": "fp32", "offsets": "*i32", "sums": "*fp32", "incoming": "*fp32"}
TYPES |= dict.fromkeys(CONSTANTS, "constexpr")

for function in (kernel._squared_error, kernel._row_gradient):
    signature = {name: TYPES.get(name, "*bf16") for name in function.arg_names}
    found = triton.compile(ASTSource(function, signature, CONSTANTS), target=GPUTarget("cuda", 90, 32))
    print(*sorted(set(re.findall(r"wgmma\.mma_async\S+", found.asm["ptx"]))), f"{len(found.asm['cubin'])} bytes")
