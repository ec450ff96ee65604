"""Errors for a stored lock whose packages are no longer available as they were: which one, where, and what to do."""

from __future__ import annotations

from roost.model.errors import BuildError, CodedError
from roost.model.locks.lock import CondaPackage, Lock, Wheel

Package = CondaPackage | Wheel
_MISSING_CODES = ("package-missing", "url-gone")
_CHANGED_CODE = "digest-mismatch"


class LockedPackageMissingError(BuildError):
    """A package of the lock no longer exists at its source."""

    code = "package-missing"


class LockedPackageChangedError(BuildError):
    """The source of a package now has other bytes than the lock states."""

    code = "digest-mismatch"


def explain_missing_package(error: CodedError, lock: Lock) -> CodedError:
    """Return an error about the package of ``lock`` that ``error``, which a build from the lock raised, is about;
    ``error`` itself if it is about none."""
    if folder := next((w for w in lock.wheels if w.path and f"file://{w.path}" in error.message), None):
        return _missing_folder_error(folder, error)
    package = _find_package(error, lock) if error.code in (*_MISSING_CODES, _CHANGED_CODE) else None
    if package is None:
        return error
    where = package.url or "its original location"
    fields = {**error.fields, **_package_fields(package), "detail": error.message}
    if error.code == _CHANGED_CODE:
        return LockedPackageChangedError(
            f"{package.name} {package.version} does not match the lock: {where} has different content now",
            hint=f"{_restore_hint(package)}. The downloaded file was not used.",
            fields=fields,
        )
    return LockedPackageMissingError(
        f"{package.name} {package.version} is no longer available: there is nothing at {where}",
        hint=f"{_restore_hint(package)}; `roost build --rebuild` creates a new generation without it.",
        fields=fields,
    )


def _missing_folder_error(wheel: Wheel, error: CodedError) -> LockedPackageMissingError:
    return LockedPackageMissingError(
        f"{wheel.name} {wheel.version} is an editable install of {wheel.path}, which can no longer be installed",
        hint="Restore that folder, or create a new generation: `roost build --rebuild`.",
        fields={"package": wheel.name, "version": wheel.version, "path": wheel.path, "detail": error.message},
    )


def _restore_hint(package: Package) -> str:
    channel = "into its channel or a mirror of it (conda.mirrors in the config)"
    place = channel if isinstance(package, CondaPackage) else "at that address"
    return f"Put {package.file_name} (sha256:{package.sha256}) back {place} and try again"


def _package_fields(package: Package) -> dict[str, object]:
    return {
        "package": package.name,
        "version": package.version,
        "file_name": package.file_name,
        "url": package.url,
        "sha256": package.sha256,
    }


def _find_package(error: CodedError, lock: Lock) -> Package | None:
    """Find the package by what engines report: a URL, the name of a file, or the name of the distribution."""
    reported = {error.fields.get(name) for name in ("url", "file_name", "package")}
    everything: tuple[Package, ...] = (*lock.conda, *lock.wheels)
    for package in everything:
        if reported & {package.url, package.file_name} - {None, ""}:
            return package
    named = [package for package in everything if package.name in reported]
    named = named or [package for package in everything if package.file_name and package.file_name in error.message]
    return named[0] if named else None
