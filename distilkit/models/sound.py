"""Whether what config.json describes is to be built: no code to be fetched, no size that the weights have not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilkit.errors import UserError
from distilkit.models.weights import weight_files, weight_shapes

# Keys by which transformers fetches code or reads weights in another form, and what is said of them.
FOREIGN = {
    "_attn_implementation": "attention",
    "attn_implementation": "attention",
    "experts_implementation": "experts",
    "_experts_implementation": "experts",
}
LAYERS = ("num_hidden_layers", "n_layers", "num_layers", "num_hidden_groups", "inner_group_num")
# Sizes that some weight has too.
SIZES = ("hidden_size", "dim", "intermediate_size", "hidden_dim", "embedding_size", "vocab_size")
MOST_LAYERS, MOST_LABELS, MOST = 1000, 100_000, 10**8


def require_sound(config: Mapping[str, Any], folder: Path) -> None:
    """Raise UserError for a config.json that nothing is to be built of, naming the key."""
    where = folder / "config.json"
    for key, what in FOREIGN.items():
        if not str(config.get(key) or "").replace("_", "").isalnum() and config.get(key):
            raise UserError(f"{where}: {key} names {what} that would be fetched and run; expected none")
    if config.get("quantization_config"):
        raise UserError(f"{where}: quantization_config: quantised weights are not read; expected plain ones")
    for key, most in {
        **dict.fromkeys(config, MOST),
        **dict.fromkeys(LAYERS, MOST_LAYERS),
        "num_labels": MOST_LABELS,
    }.items():
        if isinstance(value := config.get(key), int | float) and value > most:
            raise UserError(f"{where}: {key} is {value:g}; expected {most:,} at most")
    # Files of torch.save are not opened for this.
    if any(file.suffix == ".bin" for file in weight_files(folder)):
        return
    largest = max((size for shape in weight_shapes(folder).values() for size in shape), default=0)
    for key in SIZES:
        if isinstance(value := config.get(key), int) and value > largest > 0:
            raise UserError(
                f"{where}: {key} is {value}, and no weight beside it has more than {largest} rows or columns"
            )
