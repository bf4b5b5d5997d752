"""The two themes, and the colours of curves on each."""

from textual.theme import Theme

DARK = Theme(
    name="distilkit-dark",
    primary="#7aa2f7",
    secondary="#9ece6a",
    accent="#e0af68",
    warning="#e0af68",
    error="#f7768e",
    success="#9ece6a",
    foreground="#c8d0e8",
    background="#16181f",
    surface="#1b1e27",
    panel="#272b38",
    dark=True,
)
LIGHT = Theme(
    name="distilkit-light",
    primary="#1f5fbf",
    secondary="#2f7d32",
    accent="#9a5b00",
    warning="#9a5b00",
    error="#b3202e",
    success="#2f7d32",
    foreground="#22252b",
    background="#f4f4f1",
    surface="#fbfbf9",
    panel="#e3e4e0",
    dark=False,
)

# Told apart by people who see few colours, too (after Okabe and Ito), at 4.5:1 or more against the surface.
ON_DARK = ("#56b4e9", "#e69f00", "#2bc79b", "#f0e442", "#e58fc0", "#ff8552", "#a0a7ff", "#c0c4cc")
ON_LIGHT = ("#0063a6", "#8f5b00", "#00704f", "#6b6000", "#a02c72", "#b04000", "#4a44c0", "#50555e")


def series_colours(dark: bool) -> tuple[str, ...]:
    """Return the colours of curves, in order."""
    return ON_DARK if dark else ON_LIGHT
