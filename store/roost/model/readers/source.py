"""The input of a reader and the state of one reading: the source, file access, notices, inputs and credentials."""

from __future__ import annotations

import codecs
import errno
import hashlib
import posixpath
import shlex
from collections.abc import Callable
from typing import Protocol

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.definition import (
    NO_CHOICES,
    Base,
    Choices,
    Definition,
    InputFile,
    Notice,
    PipItem,
    ReadResult,
    RegisteredEnvironment,
    Settings,
    find_idle_sections,
    make_idle_notice,
)
from roost.model.documents.dockerfile import DOCKERFILE
from roost.model.documents.document import Document, Item, ItemKind, Problem, shorten_message
from roost.model.documents.places import WrittenValue
from roost.model.documents.recovery import Recovery
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.syntax.bounds import MAX_TOTAL_BYTES, MAX_WARNINGS, check_length, too_large_error
from roost.model.syntax.match_specs import (
    EXPECTED_SPEC,
    MatchSpecError,
    is_package_file,
    normalise_match_spec,
    to_rattler,
)
from roost.model.syntax.urls import find_written_credentials, strip_credentials
from roost.model.syntax.variables import find_misplaced_variable, variable_misplaced_error

BUILD_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
"""Files that determine a project's metadata, and so the digest of an editable installation."""


class FileAccess(Protocol):
    """File access for readers; they use the disk only through it. Paths are absolute."""

    def read(self, path: str) -> bytes:
        """Return the content of a regular file. Raises: OSError if it cannot be read or is too large."""

    def file_digest(self, path: str) -> str:
        """Return ``sha256:`` of a file of any size. Raises: OSError if it cannot be read."""

    def exists(self, path: str) -> bool:
        """Whether a file or folder exists."""

    def is_folder(self, path: str) -> bool:
        """Whether ``path`` is a folder."""

    def covers(self, path: str) -> bool:
        """Whether ``path``, which the source does not name, may be looked at."""

    def list_folder(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none if it cannot be read."""

    def resolve(self, path: str) -> str:
        """Return ``path`` without ``.`` and ``..``, as the system resolves it: ``link/..`` is the parent of the link's
        target."""

    def resolve_links(self, path: str) -> str:
        """Return where ``path`` leads, through all links."""

    def tree_digest(self, path: str) -> str:
        """Return ``sha256:`` of a folder's content: names, bytes and executable bits. Raises: OSError if it cannot be
        read."""

    def context_digest(self, path: str, dockerfile: str = DOCKERFILE) -> str:
        """Return ``sha256:`` of a Docker build context, without what its ignore file excludes. ``dockerfile`` is the
        path of the Dockerfile in it.

        Raises: OSError if it cannot be read.
        """

    def special_files(self, path: str) -> tuple[str, ...]:
        """Return the names of pipes, sockets and devices that the digest of the folder ``path`` left out."""


class DefinitionSource(msgspec.Struct, frozen=True, kw_only=True):
    """The source of a definition: a file, or text that a client sent.

    ``path`` is absolute; local files are looked up beside it.
    """

    path: str | None = None
    data: bytes | None = None
    """``None`` to read ``path``."""
    format: str | None = None
    """Name of the format; ``None`` to detect it by content."""


_NAMED = 5
"""Names in a warning."""


class MissingFileError(InvalidDefinitionError):
    """A file that a definition names cannot be read."""

    code = "definition-file-missing"


class EncodingError(InvalidDefinitionError):
    """A file is not a text."""

    code = "definition-encoding"


def require_utf8_path(path: str, location: Location | None = None) -> str:
    """Return ``path``, which is stored and sent as text. Raises: EncodingError if it has bytes that are not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise EncodingError(
            f"The path {shown} is not valid UTF-8",
            location=location,
            hint="Rename it, or name it by another path.",
        ) from None
    return path


class CredentialsWrittenError(InvalidDefinitionError):
    """A text that is stored and executed unchanged contains a password or a token."""

    code = "credentials-written"


_LITERAL_KINDS = ("key", "variable", "step", "setting")
"""Kinds of items in which ``${NAME}`` is text, or a shell's."""
_CONDA_KINDS = ("channel", "spec", "package")


def check_variables(text: str, locate: Callable[[int], Location], *, conda: bool = False) -> None:
    """Raise VariableMisplacedError if a variable in ``text`` decides which packages are meant.

    ``locate`` returns where the character at an offset is written; ``conda``: ``$NAME`` is a variable too.
    """
    if reference := find_misplaced_variable(text, conda=conda):
        raise variable_misplaced_error(reference.text, locate(reference.offset))


class ReadContext:
    """The state of reading one source: what readers report about it and its nested files, and the paths in it."""

    def __init__(self, files: FileAccess, path: str, choices: Choices = NO_CHOICES) -> None:
        self.files = files
        self.path = path
        self.choices = choices
        self.items: list[Item] = []
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.inputs: dict[str, InputFile] = {}
        self.credentials: dict[str, str] = {}
        self.locations: dict[str, Location] = {}
        self.included_files: dict[str, tuple[PipItem, ...]] = {}
        """Files that ``-r`` and ``-c`` lines name; each is read once."""
        self.line_counts: dict[str, int] = {}
        """Requirements in a file, with those of the files that it includes in place of each ``-r`` and ``-c``."""
        self.has_choices = False
        """Whether lines of the source may have options that pip does not have (``CHOICE_OPTIONS``)."""
        self.open_files: set[str] = set()
        """Included files of which a line is being read."""
        self.reported_bases: set[tuple[str, str]] = set()
        """Files with paths relative to another folder than theirs, and that folder: each is reported once."""
        self._loaded_bytes = 0

    def warn(self, code: str, message: str, location: Location | None = None) -> None:
        if len(self.warnings) < MAX_WARNINGS:
            shown = shorten_message(message)
            self.warnings.append(Problem(code=code, message=shown, severity="warning", location=location))
        elif len(self.warnings) == MAX_WARNINGS:
            message = f"there are more than {MAX_WARNINGS:,} warnings; the others are not listed"
            self.warnings.append(Problem(code="warnings-many", message=message, severity="warning", location=location))

    def warn_idle(self, section: str, location: Location | None = None) -> None:
        """Warn, once, about a section that roost installs nothing from."""
        notice = make_idle_notice(section, location or Location(path=self.path))
        if notice.message not in [warning.message for warning in self.warnings if warning.code == notice.code]:
            self.warn(notice.code, notice.message, notice.location)

    def recover(self, *, is_outermost: bool = False) -> Recovery:
        """Return a context manager that reports an InvalidDefinitionError as a problem, and goes on after its block.

        After ``MAX_PROBLEMS``, it goes on only after the block that ``is_outermost``.
        """
        return Recovery(self.errors, is_outermost=is_outermost)

    def record(self, kind: ItemKind, written: WrittenValue) -> str:
        """Record an item, and return its text.

        Raises: TooLargeError if it is longer than the bound of a line, VariableMisplacedError if a variable decides
        what it means.
        """
        self.record_item(kind, written.value, written.location, written.end)
        if kind not in _LITERAL_KINDS:
            check_length(written.value, f"This {kind}", written.location)
            check_variables(written.value, written.locate, conda=kind in _CONDA_KINDS)
        return written.value

    def record_item(self, kind: ItemKind, text: str, location: Location, end: Location | None) -> None:
        self.items.append(Item(kind=kind, text=text, location=location, end=end))

    def build_document(self, result: ReadResult | None) -> Document:
        """Return the document with all that was collected."""
        files = {path: index for index, path in enumerate([self.path, *self.inputs])}

        def find_place(problem: Problem) -> tuple[int, int, int]:
            where = problem.location or Location(path=self.path)
            return files.get(where.path, len(files)), where.line or 0, where.column or 0

        problems = sorted([*self.errors, *self.warnings], key=find_place)
        return Document(items=tuple(self.items), problems=tuple(problems), result=result)

    def record_input(self, path: str, digest: str | None) -> None:
        self.inputs.setdefault(path, InputFile(path=path, digest=digest))

    def strip_credentials(self, text: str) -> str:
        """Return ``text`` without its credentials, which are collected for the engines."""
        text, found = strip_credentials(text)
        self.credentials.update(found)
        return text

    def require_no_credentials(self, text: str, what: str, location: Location) -> str:
        """Return ``text``, which is stored and executed unchanged, if it contains no credentials.

        Without its credentials the text would do something else; with them, they would be in the index and in the
        history of an image. ``what`` describes the text in the error. A ``location`` without a line is that of a file
        which contains only the text.

        Raises: CredentialsWrittenError if a URL in ``text`` has credentials written out.
        """
        if (found := find_written_credentials(text)) is None:
            return text
        line, place = found
        raise CredentialsWrittenError(
            f"{f'Line {line} of {what}' if chr(10) in text else what.capitalize()} contains credentials for {place}, "
            "which would be stored with it",
            hint="Name the protected address under [pip] or [conda] and put the password into a netrc, a keyring or "
            "[credentials] of roost's config, or build that image with Docker (`--secret`) and name it as the base.",
            location=location if location.line is not None else Location(path=location.path, line=line, column=1),
            fields={"place": place, "line": line},
        )

    def read_match_spec(self, text: str, location: Location) -> str:
        """Return a conda match spec in normal form, and record its location.

        Raises: MatchSpecError with ``location`` if the spec is not valid, or names a package file on disk.
        """
        try:
            spec = normalise_match_spec(self.strip_credentials(text))
            _check_match_spec(spec)
        except MatchSpecError as error:
            error.location = location
            raise
        self.locations.setdefault(spec, location)
        return spec

    def resolve_path(self, path: str, origin: str) -> str:
        """Return the absolute path of ``path`` as written in the file ``origin``.

        Raises: EncodingError if it is not valid UTF-8 (``file:caf%E9``, or where a link leads).
        """
        resolved = self.files.resolve(posixpath.join(posixpath.dirname(origin), path))
        return require_utf8_path(resolved, Location(path=origin))

    def load_file(self, path: str, location: Location | None) -> bytes:
        """Return the content of a nested file, and record it as an input.

        Raises: MissingFileError if it cannot be read, TooLargeError if all nested files together are too large.
        """
        try:
            data = self.files.read(path)
        except OSError as error:
            raise self._missing_file_error(path, location, error) from None
        self._loaded_bytes += len(data)
        if self._loaded_bytes > MAX_TOTAL_BYTES:
            what = f"With {path}, the files that are included here have {self._loaded_bytes:,} bytes"
            raise too_large_error(what, MAX_TOTAL_BYTES, "bytes", location)
        self.record_input(path, digest_bytes(data))
        return data

    def compute_digest(self, kind: str, path: str, location: Location | None) -> str:
        """Return the digest of a local file or folder, and record it as an input.

        ``kind``: ``file``; ``tree`` (a file or folder); ``build`` (the build files of a project).

        Raises: MissingFileError if it cannot be read.
        """
        if kind == "tree" and not self.files.is_folder(path):
            kind = "file"
        if kind == "build":
            return self._digest_build_files(path, location)
        compute = {"file": self.files.file_digest, "tree": self.files.tree_digest}
        return self._record_digest(path, location, lambda: compute[kind](path))

    def digest_context(self, path: str, location: Location | None, dockerfile: str = DOCKERFILE) -> str:
        """Return the digest of a Docker build context, and record it as an input. ``dockerfile`` is the path of the
        Dockerfile in it.

        Raises: MissingFileError if it cannot be read.
        """
        more = () if dockerfile == DOCKERFILE else (dockerfile,)
        return self._record_digest(path, location, lambda: self.files.context_digest(path, *more))

    def _record_digest(self, path: str, location: Location | None, compute: Callable[[], str]) -> str:
        try:
            digest = compute()
        except OSError as error:
            raise self._missing_file_error(path, location, error) from None
        self.record_input(path, digest)
        if special := self.files.special_files(path):
            more = f" and {len(special) - _NAMED} more" if len(special) > _NAMED else ""
            names = ", ".join(special[:_NAMED])
            message = f"{path} contains pipes, sockets or devices, which are left out: {names}{more}"
            self.warn("special-files", message, location)
        return digest

    def _digest_build_files(self, folder: str, location: Location | None) -> str:
        """Digest the files that determine how a project is built: an editable install only links to its sources."""
        if not self.files.is_folder(folder):
            raise self._missing_file_error(folder, location, NotADirectoryError(errno.ENOTDIR, "it is not a folder"))
        content = hashlib.sha256(b"roost build files 1\n")
        for name in BUILD_FILES:
            path = posixpath.join(folder, name)
            if self.files.exists(path):
                content.update(f"{name} {digest_bytes(self.load_file(path, location))}\n".encode())
            else:
                self.record_input(path, None)
        return "sha256:" + content.hexdigest()

    def build_result(
        self,
        definition: Definition,
        format: str,
        *,
        settings: Settings | None = None,
        name: str | None = None,
        registered: RegisteredEnvironment | None = None,
    ) -> ReadResult:
        """Return the result with all that was collected. The texts of the base are checked here for every reader.

        A text of the base that has credentials written out is reported as a problem.
        """
        base, settings = definition.base or Base(), settings or Settings()
        for section in find_idle_sections(definition, settings):
            self.warn_idle(section)
        for text in (base.image, base.dockerfile, *base.steps, base.platform, definition.inference_stack):
            with self.recover():
                self.require_no_credentials(text or "", "the base image", Location(path=self.path))
        return ReadResult(
            definition=definition,
            settings=settings,
            name=name,
            format=format,
            path=self.path,
            warnings=tuple(
                Notice(code=problem.code, message=problem.message, location=problem.location)
                for problem in self.warnings
            ),
            inputs=tuple(self.inputs.values()),
            credentials=self.credentials,
            locations=self.locations,
            registered=registered,
        )

    def _missing_file_error(self, path: str, location: Location | None, error: OSError) -> MissingFileError:
        self.record_input(path, None)
        reason = error.strerror or str(error)
        hint = "Create the file, or remove the line that names it." if location else "Name a text file."
        if error.errno in (errno.EACCES, errno.EPERM):
            hint = f"Its mode or its owner, or those of a folder above it, forbid it: `ls -ld {shlex.quote(path)}`."
        return MissingFileError(
            f"{path} can't be read: {reason}",
            hint=hint,
            location=location,
            fields={"path": path},
        )


def _check_match_spec(spec: str) -> None:
    if is_package_file(spec) and "://" not in spec:
        raise MatchSpecError(
            f"{spec!r} is a package file on disk; expected {EXPECTED_SPEC}",
            hint="Put the file into a channel (a folder will do: file:///path/to/channel) and name the package.",
        )
    to_rattler(spec)  # raises MatchSpecError if rattler could not read the spec


_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode_text(data: bytes, path: str) -> str:
    """Return the text of a file in UTF-8, or in the encoding of its byte-order mark, with line ends ``\\n``.

    Raises: EncodingError if the bytes are not valid in that encoding.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
        raise EncodingError(
            f"Byte 0x{data[error.start]:02x} is not valid {encoding.upper()}; expected UTF-8, or UTF-16 with a byte "
            "order mark",
            hint="Save the file as UTF-8.",
            location=Location(path=path, line=line, column=column),
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
