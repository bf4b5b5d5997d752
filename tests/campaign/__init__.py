"""Campaigns against distilkit: many random disturbances, each of which must end as if nothing had happened."""

import sys
from pathlib import Path

# What tests share is imported by its own name, in a campaign as in a test.
sys.path.insert(0, str(Path(__file__).parents[1]))
