"""Sequences without padding: encoders, attention and attention transfer over tokens that lie one after another.

Each part has a plain PyTorch form, which is the reference and runs anywhere. The forms for CUDA (variable-length
attention, a Triton kernel) are used only on a device where they agreed with it; unmeasured on a GPU so far.
"""
