"""Rankers as ONNX files: written by `distilkit export --format onnx`, and scored with by onnxruntime."""
