"""The Python API: what `distilkit.__all__` names, one module a subject; `distilkit` imports each on first use."""
