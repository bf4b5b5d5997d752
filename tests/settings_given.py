"""Settings as the command line takes them."""


def sets(*settings: str) -> list[str]:
    """Return the options that change keys of a recipe: `--set KEY=VALUE` for each."""
    return [word for setting in settings for word in ("--set", setting)]
