"""`python -m tests.campaign KIND... --count N`: disturb distilkit N times, and tell what was done and how it ended."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.campaign import changed, damage, fuzz, kills, power, soak
from tests.campaign.place import Place

Trial = Callable[[Place, Random, Path], str]
KINDS: dict[str, Trial] = {
    "kills": kills.trial,
    "power": power.trial,
    "damage": damage.trial,
    "changed": changed.trial,
    "fuzz": fuzz.trial,
    "soak": soak.trial,
}


def main() -> int:
    """Run the trials that the command line asks for; return 1 where one did not end as it must."""
    asked = _arguments()
    rows = []
    with tempfile.TemporaryDirectory(prefix="campaign-") as scratch:
        place = Place(Path(scratch))
        for kind in asked.kinds or list(KINDS):
            begun, wrong = time.monotonic(), 0
            numbers = range(asked.count) if asked.only is None else [asked.only]
            for number in numbers:
                wrong += not _try(kind, number, asked, place)
            rows.append((kind, len(numbers), wrong, time.monotonic() - begun))
    print(f"\n{'kind':<10}{'trials':>8}{'wrong':>8}{'seconds':>9}")
    for kind, trials, wrong, seconds in rows:
        print(f"{kind:<10}{trials:>8}{wrong:>8}{seconds:>9.0f}")
    return int(any(wrong for _, _, wrong, _ in rows))


def _try(kind: str, number: int, asked: argparse.Namespace, place: Place) -> bool:
    folder, begun = place.folder / f"{kind}-{number}", time.monotonic()
    folder.mkdir()
    # Of an invented exception this tool learns as of any other: the trial is lost, the campaign goes on.
    try:
        did, well = KINDS[kind](place, Random(f"{asked.seed}-{kind}-{number}"), folder), True
    except Exception as error:
        did, well = f"{type(error).__name__}: {error}", False
    print(f"{'ok   ' if well else 'WRONG'} {kind} {number} in {time.monotonic() - begun:.1f} s: {did}", flush=True)
    if not well:
        print(f"      again: python -m tests.campaign {kind} --seed {asked.seed} --only {number}", flush=True)
        if asked.keep is not None:
            shutil.copytree(folder, asked.keep / folder.name, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(folder)
    return well


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)}; all by default")
    parser.add_argument("--count", type=int, default=10, help="trials of each kind")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="what is drawn; the time by default")
    parser.add_argument("--only", type=int, metavar="N", help="the trial of this number alone")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the folders of trials that went wrong")
    asked = parser.parse_args()
    for kind in asked.kinds:
        if kind not in KINDS:
            parser.error(f"there is no {kind!r}; expected {', '.join(KINDS)}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
