"""Errors of the pip engine, importable without uv."""

from __future__ import annotations

from typing import ClassVar

from roost.model.errors import BuildError, InvalidDefinitionError, ServiceUnreachableError


class LockNeedsBuildError(BuildError):
    """No wheel of a package fits; building one would run its code, which was not allowed."""

    code = "lock-needs-build"


class ConflictError(BuildError):
    """A pip requirement excludes the version of a package that conda provides."""

    code = "pip-conda-conflict"


class PipUnsatisfiableError(BuildError):
    """No set of versions satisfies the pip requirements."""

    code = "pip-unsatisfiable"


class WheelDigestMismatchError(BuildError):
    """A download or a file does not have the sha256 that it should have."""

    code = "digest-mismatch"


class WheelCorruptError(BuildError):
    """A wheel can't be read."""

    code = "wheel-corrupt"


class WheelBuildError(BuildError):
    """Building a wheel from source failed."""

    code = "wheel-build-failed"
    is_logged: ClassVar[bool] = True


class WheelMissingError(BuildError):
    """A wheel that only this store had no longer exists."""

    code = "wheel-missing"


class UvCrashedError(BuildError):
    """uv was killed or could not be started."""

    code = "uv-crashed"
    retryable: ClassVar[bool] = True


class UvFailedError(BuildError):
    """uv failed for a reason that roost does not recognize."""

    code = "uv-failed"
    is_logged: ClassVar[bool] = True


class UrlGoneError(BuildError):
    """A URL in a requirement or a lock answers 404 or 410."""

    code = "url-gone"


class IndexUnreachableError(ServiceUnreachableError):
    """A package index can't be reached or breaks the connection."""

    code = "index-unreachable"


class IndexDeniedError(ServiceUnreachableError):
    """A package index requires credentials, or other credentials."""

    code = "index-denied"
    retryable: ClassVar[bool] = False


class GitFailedError(BuildError):
    """git could not fetch a requirement: its revision or its repository does not exist, or something else."""

    code = "git-failed"
    is_logged: ClassVar[bool] = True


class GitMissingError(BuildError):
    """A requirement is in a git repository, and there is no git."""

    code = "git-missing"
    is_logged: ClassVar[bool] = True


class GitUnreachableError(ServiceUnreachableError):
    """The host of a git repository is not known, or does not answer."""

    code = "git-unreachable"
    is_logged: ClassVar[bool] = True


class GitDeniedError(ServiceUnreachableError):
    """The host of a git repository requires credentials, or other credentials."""

    code = "git-denied"
    is_logged: ClassVar[bool] = True
    retryable: ClassVar[bool] = False


class EditableGoneError(BuildError):
    """The folder of an editable install no longer exists."""

    code = "editable-gone"


class PipOptionError(InvalidDefinitionError):
    """An option that uv does not have, or an option without its value."""

    code = "pip-option"


class PipVariableError(InvalidDefinitionError):
    """A pip line names a variable (``${NAME}``) that is not set."""

    code = "pip-variable"


class RemoteLineError(InvalidDefinitionError):
    """A requirements file behind a URL names something of this machine, includes itself, or is too large."""

    code = "remote-requirements"
