"""What a reader is given and what it gathers: the source, the files beside it, notices, inputs and credentials."""

from __future__ import annotations

import codecs
import errno
import hashlib
import posixpath
from typing import Protocol

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.definition import Base, Definition, InputFile, Notice, ReadResult, Settings
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.syntax.urls import find_written_credentials, strip_credentials

BUILD_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
"""What decides a project's metadata, and so the digest of an editable install."""


class FileAccess(Protocol):
    """The files that a definition refers to; the readers' only sight of the disk. Paths are absolute."""

    def read(self, path: str) -> bytes:
        """The content of a regular file of any sane size; raises ``OSError``."""

    def file_digest(self, path: str) -> str:
        """``sha256:`` of a file of any size; raises ``OSError``."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""

    def is_folder(self, path: str) -> bool:
        """Whether it is a folder."""

    def resolve(self, path: str) -> str:
        """``path`` without ``.`` and ``..``, as the system follows it: ``link/..`` is beside where the link points."""

    def tree_digest(self, path: str) -> str:
        """``sha256:`` of a folder's content: names, bytes and executable bits; raises ``OSError``."""

    def context_digest(self, path: str) -> str:
        """The same for a Docker build context, without what its ``.dockerignore`` leaves out; raises ``OSError``."""


class DefinitionSource(msgspec.Struct, frozen=True, kw_only=True):
    """What to read: a file, or text that a client sent. ``path`` is absolute; local things are looked for beside it."""

    path: str | None = None
    data: bytes | None = None
    """``None``: what ``path`` holds."""
    format: str | None = None
    """Taken for granted instead of told by content."""


class MissingFileError(InvalidDefinitionError):
    """A file that a definition names can't be read."""

    code = "definition-file-missing"


class EncodingError(InvalidDefinitionError):
    """A file is no text."""

    code = "definition-encoding"


class CredentialsWrittenError(InvalidDefinitionError):
    """A text that is kept and run as it is holds a password or a token."""

    code = "credentials-written"


class ReadContext:
    """One reading of one source; nested files add to it."""

    def __init__(self, files: FileAccess, path: str) -> None:
        self.files = files
        self.path = path
        self.warnings: list[Notice] = []
        self.inputs: dict[str, InputFile] = {}
        self.credentials: dict[str, str] = {}
        self.locations: dict[str, Location] = {}

    def warn(self, code: str, message: str, location: Location | None = None) -> None:
        self.warnings.append(Notice(code=code, message=message, location=location))

    def remember(self, path: str, digest: str | None) -> None:
        self.inputs.setdefault(path, InputFile(path=path, digest=digest))

    def clean(self, text: str) -> str:
        """``text`` without the credentials in it, which are kept apart."""
        text, found = strip_credentials(text)
        self.credentials.update(found)
        return text

    def whole(self, text: str, what: str, location: Location) -> str:
        """``text``, which is kept and run as it is, and in which no credentials may be for that reason: without them it
        would do something else, and with them they would be in the index and in an image's history.

        ``what`` it is called; ``location`` without a line: that of a file which holds nothing else. Raises
        :class:`CredentialsWrittenError`.
        """
        if (found := find_written_credentials(text)) is None:
            return text
        line, place = found
        raise CredentialsWrittenError(
            f"{f'Line {line} of {what}' if chr(10) in text else what.capitalize()} has credentials for {place} written "
            "out, which would be kept with it",
            hint="Name what is behind a password under [pip] or [conda] and keep the password in a netrc, a keyring or "
            "[credentials] of roost's config, or build that image with Docker (`--secret`) and name it as the base.",
            location=location if location.line is not None else Location(path=location.path, line=line, column=1),
            fields={"place": place, "line": line},
        )

    def beside(self, path: str, origin: str) -> str:
        """The absolute path of what the file ``origin`` calls ``path``."""
        return self.files.resolve(posixpath.join(posixpath.dirname(origin), path))

    def load(self, path: str, location: Location | None) -> bytes:
        """A nested file's content, remembered as an input. Raises :class:`MissingFileError`."""
        try:
            data = self.files.read(path)
        except OSError as error:
            raise self._missing(path, location, error) from None
        self.remember(path, digest_bytes(data))
        return data

    def digest(self, kind: str, path: str, location: Location | None) -> str:
        """The digest of a local thing: ``file``, ``tree``, ``context`` or ``build``."""
        if kind == "tree" and not self.files.is_folder(path):
            kind = "file"
        if kind == "build":
            return self._build_digest(path, location)
        compute = {"file": self.files.file_digest, "tree": self.files.tree_digest, "context": self.files.context_digest}
        try:
            digest = compute[kind](path)
        except OSError as error:
            raise self._missing(path, location, error) from None
        self.remember(path, digest)
        return digest

    def _build_digest(self, folder: str, location: Location | None) -> str:
        """An editable install holds links to sources: what counts is what says how the project is built."""
        if not self.files.is_folder(folder):
            raise self._missing(folder, location, NotADirectoryError(errno.ENOTDIR, "it is no folder"))
        content = hashlib.sha256(b"roost build files 1\n")
        for name in BUILD_FILES:
            path = posixpath.join(folder, name)
            if self.files.exists(path):
                content.update(f"{name} {digest_bytes(self.load(path, location))}\n".encode())
            else:
                self.remember(path, None)
        return "sha256:" + content.hexdigest()

    def parsed(
        self, definition: Definition, format: str, *, settings: Settings | None = None, name: str | None = None
    ) -> ReadResult:
        """What was read. Raises :class:`CredentialsWrittenError`: no reader lets a text of the base by unseen."""
        base = definition.base or Base()
        for text in (base.image, base.dockerfile, *base.steps, base.platform, definition.inference_stack):
            self.whole(text or "", "the base image", Location(path=self.path))
        return ReadResult(
            definition=definition,
            settings=settings or Settings(),
            name=name,
            format=format,
            path=self.path,
            warnings=tuple(self.warnings),
            inputs=tuple(self.inputs.values()),
            credentials=self.credentials,
            locations=self.locations,
        )

    def _missing(self, path: str, location: Location | None, error: OSError) -> MissingFileError:
        self.remember(path, None)
        reason = error.strerror or str(error)
        return MissingFileError(
            f"{path} can't be read: {reason}",
            hint="Put the file there, or take the line that names it out." if location else "Name a text file.",
            location=location,
            fields={"path": path},
        )


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode_text(data: bytes, path: str) -> str:
    """The text of a file: UTF-8, or what its byte-order mark says; line ends are ``\\n``. Raises ``EncodingError``."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
        raise EncodingError(
            f"Byte 0x{data[error.start]:02x} is no {encoding.upper()} text; expected UTF-8, or UTF-16 with its mark",
            hint="Save the file as UTF-8.",
            location=Location(path=path, line=line, column=column),
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
