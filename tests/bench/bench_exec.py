"""What `roost exec -- python -c pass` costs against the bare interpreter of the same prefix, in pairs.

    python -m tests.bench.bench_exec [PAIRS]

Prints medians in milliseconds and the median of the pairs' ratios, for the launcher with a plan, and for the Python
client that it falls back to. The goals: 1.2 to 1.3, and 2.0.
"""

from __future__ import annotations

import json
import sys
from functools import partial

from tests.bench.measuring import milliseconds, print_against_bare
from tests.support.installed import Installed

COMMAND = ("exec", "--", "python", "-c", "pass")


def measure(roost: Installed, pairs: int) -> None:
    run = partial(milliseconds, folder=roost.work, environ=roost.environ)
    built = json.loads(roost("build", "--json").stdout.splitlines()[-1])["build"]
    bare = [f"{built['artifacts'][0]['path']}/bin/python", "-c", "pass"]
    asked = {
        "launcher": [str(roost.bin / "roost"), *COMMAND],
        "Python client": [str(roost.bin / "roost-client"), *COMMAND],
        "bare": bare,
    }
    for words in asked.values():
        run(words)
    assert roost.plans(), "no launch plan was left: the launcher would be measured with the client behind it"
    print_against_bare(asked, pairs, run)


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    roost = Installed()
    try:
        measure(roost, pairs)
    finally:
        roost.remove()


if __name__ == "__main__":
    main()
