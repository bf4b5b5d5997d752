"""What distilkit costs, measured: `python -m benchmarks` lists the benchmarks."""
