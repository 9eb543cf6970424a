"""`python -m chaos --faults 40 --seed 1`, as `make chaos` calls it."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from chaos.campaign import run, schedule
from chaos.faults import FAULTS


def main() -> int:
    """Return 1 if anything was lost, doubled, different, printed as a traceback, left behind or hanging."""
    parser = argparse.ArgumentParser(prog="chaos", description="Repeat a small grid under seeded faults.")
    parser.add_argument("--faults", type=int, default=40, metavar="N", help="how many (default: 40)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults' order and choices (default: 1)")
    parser.add_argument(
        "--only", type=int, action="append", metavar="N", help="only fault N; may be given several times"
    )
    parser.add_argument("--deadline", type=float, default=180.0, metavar="S", help="of each command (default: 180 s)")
    parser.add_argument("--work", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--list", action="store_true", help="print which faults these are, and end")
    options = parser.parse_args()
    chosen = options.only or list(range(1, options.faults + 1))
    if not 1 <= min(chosen) <= max(chosen) <= options.faults:
        parser.error(f"--only takes numbers from 1 to {options.faults}, as --faults says")
    if options.list:
        for number, (fault, studies) in enumerate(schedule(options.faults, options.seed), 1):
            print(f"{number:3d} {fault.name} ({studies[-1].removesuffix('.yml')})")
        print(f"the table holds {len(FAULTS)}")
        return 0
    work = options.work or Path(tempfile.mkdtemp(prefix="chaos-"))
    work.mkdir(parents=True, exist_ok=True)
    bad = run(chosen, options.faults, options.seed, work, options.deadline, lambda line: print(line, flush=True))
    if not bad and options.work is None:
        shutil.rmtree(work, ignore_errors=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
