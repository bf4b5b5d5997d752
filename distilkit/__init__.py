"""distilkit: distil neural rankers, and find out whether the difference is real."""

__version__ = "0.1.0"
