"""File access for readers of definitions that notes the state of every file before it is read."""

from __future__ import annotations

import os

from roost.daemon.definitions.stamps import ABSENT, stamp
from roost.model.documents.dockerfile import DOCKERFILE
from roost.model.errors import InvalidDefinitionError
from roost.model.records import FileStamp
from roost.store.sources.files import LocalFiles


class WatchedFiles(LocalFiles):
    """Local files that record the state in which each path was before the first access."""

    def __init__(self) -> None:
        super().__init__()
        self.guards: dict[str, FileStamp] = {}
        """Path to its state before the first access."""
        self.has_read_folders = False
        """Whether a whole folder was read: the stat of a folder does not show changes inside it."""
        self.folders: set[str] = set()
        """Folders of which the names, or the whole content, were read."""

    def read(self, path: str) -> bytes:
        self.watch(path)
        return self.read_unwatched(path)

    def read_unwatched(self, path: str) -> bytes:
        """Return the content of a file that may not be part of the definition. Raises: OSError if it can't be read."""
        return super().read(path)

    def exists(self, path: str) -> bool:
        self.watch(path)
        return super().exists(path)

    def is_folder(self, path: str) -> bool:
        self.watch(path)
        return super().is_folder(path)

    def is_there(self, path: str) -> bool:
        """Return whether anything has the name ``path``, a link that leads nowhere too; one call of stat if not."""
        try:
            os.lstat(path)
        except (OSError, ValueError):
            self._note_absence(path)
            return False
        self.watch(path)
        return True

    def list_folder(self, path: str) -> list[str]:
        self._note_folder(path)
        return super().list_folder(path)

    def file_digest(self, path: str) -> str:
        self.watch(path)
        return super().file_digest(path)

    def tree_digest(self, path: str) -> str:
        self._note_folder(path)
        return super().tree_digest(path)

    def context_digest(self, path: str, dockerfile: str = DOCKERFILE) -> str:
        self._note_folder(path)
        return super().context_digest(path, dockerfile)

    def _note_folder(self, path: str) -> None:
        self.has_read_folders = True
        self.folders.add(path)

    def _note_absence(self, path: str) -> None:
        self.guards.setdefault(path, FileStamp(path=path, identity=ABSENT))

    def watch(self, path: str) -> None:
        """Record the state of ``path``, unless it is recorded already."""
        self.guards.setdefault(path, FileStamp(path=path, identity=stamp(path)))


class PathOutsideError(InvalidDefinitionError):
    """A path leads out of the folder that may be read; ``fields["path"]`` is it."""

    code = "path-outside"


class FilesWithin(WatchedFiles):
    """Files of one folder. A path that leads out of it, through links too, is not accessed but raises
    :class:`PathOutsideError`."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = os.path.realpath(folder)

    def watch(self, path: str) -> None:
        self._require_within(path)
        super().watch(path)

    def is_there(self, path: str) -> bool:
        self._require_within(path)
        return super().is_there(path)

    def covers(self, path: str) -> bool:
        return os.path.commonpath([os.path.realpath(path), self.folder]) == self.folder

    def list_folder(self, path: str) -> list[str]:
        self._require_within(path)
        return super().list_folder(path)

    def tree_digest(self, path: str) -> str:
        self._require_within(path)
        return super().tree_digest(path)

    def context_digest(self, path: str, dockerfile: str = DOCKERFILE) -> str:
        self._require_within(path)
        return super().context_digest(path, dockerfile)

    def _require_within(self, path: str) -> None:
        if not self.covers(path):
            raise PathOutsideError(
                f"A file in {self.folder} names {path}, which is outside of it",
                hint="Copy into the folder what it needs.",
                fields={"path": path},
            )
