"""Plots of a comparison: `save(result, folder)` writes each that there is data for, as PNG, SVG and PDF."""

from distilkit.comparison.plots.gallery import PLOTS, inline, save

__all__ = ["PLOTS", "inline", "save"]
