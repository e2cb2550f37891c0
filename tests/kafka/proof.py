"""The faults of `faults.py` in full, and the table of their numbers: `./dev proof [FAULT..]`.

Ends with 1 if anything was lost, doubled or altered. PITT_BIN names the program, SEED the moments at which things go wrong.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import random
import sys
import tempfile

import faults
import node
from ground import Ground
from reckoning import table


def main() -> int:
    """Runs them one after another, each with a Kafka and an archive of its own."""
    names = [fault.__name__ for fault in faults.FAULTS]
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("fault", nargs="*", choices=[[], *names], help="only these")
    words.add_argument("--short", action="store_true", help="the sizes of ./dev test")
    asked = words.parse_args()
    seed = os.environ.get("SEED", "1")
    rows = []
    for fault in faults.FAULTS:
        if asked.fault and fault.__name__ not in asked.fault:
            continue
        size = (faults.SHORT if asked.short else faults.FULL)[fault.__name__]
        print(f"{fault.__name__}: {size} seed {seed}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="pitt-proof-") as folder:
            with node.Kafka(pathlib.Path(folder) / "kafka") as kafka:
                rows.append(fault(Ground(kafka, pathlib.Path(folder) / "ground"), size, random.Random(seed)))
        print(table(rows[-1:]), file=sys.stderr, flush=True)
    print(table(rows))
    wrong = [f"{row.what}: {', '.join(row.complaints())}" for row in rows if row.complaints()]
    print("\n".join(wrong) or "nothing lost, nothing doubled, every ledger balanced")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
