"""How many tokens an encoder can read."""

from typing import Any

# They count positions from behind that of their padding.
AFTER_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet")


def first_position(config: Any) -> int:
    """Return the position of a text's first token."""
    return int(config.pad_token_id) + 1 if config.model_type in AFTER_PADDING else 0


def position_room(config: Any) -> int | None:
    """Return the most tokens that a model has positions for, None where nothing limits them."""
    most: int | None = getattr(config, "max_position_embeddings", None)
    return None if most is None else most - first_position(config)
