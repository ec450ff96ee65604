"""What is stored of the output of a command: in the folder of its run, bounded, and never a reason to disturb it.

Apart from ``relay``, since containers have no use for that.
"""

from __future__ import annotations

import contextlib
import os

from roost.client.kept_output.streams import WrittenFile
from roost.wire.run_output import StoredOutput

_CHUNK = 65536


class KeptOutput:
    """Stores output until the end of the block, which gets the function that does. If the disk is full, nothing more is
    stored, and the command goes on."""

    def __init__(self, folder: str, limit: int) -> None:
        """``limit``: bytes that are stored at most."""
        self._stored = StoredOutput(folder, limit)
        self._is_storing = False

    def __enter__(self) -> KeptOutput:
        """Begin."""
        with contextlib.suppress(OSError):
            self._stored.open()
            self._is_storing = True
        return self

    def __exit__(self, *ignored: object) -> None:
        """Cut it for the last time."""
        if self._is_storing:
            with contextlib.suppress(OSError):
                self._stored.close()

    def __call__(self, data: bytes) -> None:
        """Store ``data``."""
        if self._is_storing:
            try:
                self._stored.write(data)
            except OSError:
                self._is_storing = False

    def add_file(self, file: WrittenFile) -> None:
        """Store what the command has written to a file of the user."""
        with contextlib.suppress(OSError):
            copy, position, end = file.open_copy()
            try:
                while position < end and (data := os.pread(copy, min(_CHUNK, end - position), position)):
                    self(data)
                    position += len(data)
            finally:
                os.close(copy)
