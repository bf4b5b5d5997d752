"""`python -m distilkit`, which `accelerate launch -m distilkit` runs in every process."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts the working folder first, where a file torch.py would be taken for torch; ours may lie there.
    here = str(Path.cwd())
    if here in sys.path[:1] and Path(__file__).parents[1] != Path.cwd():
        del sys.path[0]
    from distilkit.cli import main

    main()
