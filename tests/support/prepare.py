"""Make what several tests need and takes long to make, before they ask: ``python -m tests.support.prepare [TIER…]``.

Everything made here but byte-code is kept in ``${XDG_CACHE_HOME:-~/.cache}/roost-tests`` under a lock, so a test that
asks meanwhile waits for it, and one that asks later finds it. Nothing here fails a run: the test that needs the part
says what is wrong.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence


def _channel() -> None:
    subprocess.run([sys.executable, "-m", "tests.support.channel.build"], stdout=subprocess.DEVNULL, check=True)


def _images() -> None:
    from tests.support.images import apt, debian, engines

    for name in ("base", "python"):
        engines.root_tarball(name)
    for package in ("docker.io", "docker-buildx"):
        debian.unpacked(package)
    apt.archives()


def _azure() -> None:
    from tests.support.azureml import python_with_azureml

    python_with_azureml()


def _bytecode() -> None:
    """Compile the tests before many workers do so at the same time, while the quick tier leaves a processor idle."""
    from tests.support import kept_bytecode

    words = ["-p", kept_bytecode.__name__, "-p", "no:cacheprovider", "--collect-only", "-q"]
    folders = ["tests/api", "tests/crash", "tests/e2e", "tests/images"]
    command = ["nice", "-n", "15", sys.executable, "-m", "pytest", *words, *folders]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


PARTS: dict[str, tuple[Callable[[], None], ...]] = {
    "quick": (),
    "core": (_channel, _azure, _bytecode),
    "images": (_channel, _images, _bytecode),
}


def main(names: Sequence[str]) -> None:
    """Make the parts of the tiers ``names``, each once."""
    for part in dict.fromkeys(part for name in names for part in PARTS.get(name, ())):
        started = time.monotonic()
        with contextlib.suppress(BaseException):
            part()
        print(f"=== prepared {part.__name__.strip('_')} in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
