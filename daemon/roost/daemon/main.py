"""`roostd`: opens the root, recovers it, serves it on its socket, and stops in order.

    roostd              in the foreground, with its log on standard error too (client/bin/roostd)
    roostd --start      as a client starts it: quiet; ends with 0 if another daemon has the root already
    roostd --repair     repairs the root while no daemon has it, and prints what it did: `roost doctor --repair`

If it can't start, standard error gets one line of JSON, an error body, and the exit status is the error's. Separate
from ``serve``, which it imports without garbage collection.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the daemon and end the process. Never returns: a native thread of rattler may crash an interpreter that shuts
    down, so that after the flush the process exits at once."""
    options = _parse_options(arguments)
    if options.repair:
        from roost.daemon.repair.offline import run_repair

        _end(run_repair())
    # The imports allocate much and free little: collections during them are a tenth of the time to the first answer.
    gc.disable()
    with without_default_certificates():
        from roost.daemon.serve import run_process
        from roost.daemon.server.logs import stop_logging

    gc.freeze()  # later collections skip the modules
    gc.enable()
    status = run_process(quiet=options.start)
    stop_logging()
    _end(status)


@contextlib.contextmanager
def without_default_certificates() -> Iterator[None]:
    """Read no certificates of the system meanwhile: a context of the defaults trusts nobody.

    aiohttp makes two such contexts when it is imported, for requests that bring none. Those of the daemon bring the
    one of ``caller.network``. Where SSL_CERT_FILE is set, the two take a tenth of the time to the first answer.
    """
    import ssl

    kind: Any = ssl.SSLContext
    load = kind.load_default_certs
    kind.load_default_certs = kind.set_default_verify_paths = lambda *_: None
    try:
        yield
    finally:
        kind.load_default_certs = load
        del kind.set_default_verify_paths  # the method of the class below is seen again


def _end(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="roostd", description="The daemon of roost.", epilog="Example: roostd")
    parser.add_argument("--start", action="store_true", help="as a client starts it: quiet, and no error if one runs")
    parser.add_argument("--repair", action="store_true", help="repair the root while no daemon has it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
