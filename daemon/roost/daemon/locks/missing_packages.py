"""A kept lock whose packages can no longer be had as they were: which one, where it was, and what to do."""

from __future__ import annotations

from roost.model.errors import BuildError, CodedError
from roost.model.locks.lock import CondaPackage, Lock, Wheel

Package = CondaPackage | Wheel
_GONE = ("package-missing", "url-gone")
_OTHER = "digest-mismatch"


class PackageLostError(BuildError):
    """Nobody has a package of the lock any more."""

    code = "package-missing"


class PackageOtherError(BuildError):
    """What there is under a package's name is something else than the lock says."""

    code = "digest-mismatch"


def explain_loss(error: CodedError, lock: Lock) -> CodedError:
    """``error``, which building from ``lock`` raised, in terms of the lock's package; others stay as they are."""
    if folder := next((w for w in lock.wheels if w.path and f"file://{w.path}" in error.message), None):
        return _folder_gone(folder, error)
    package = _package(error, lock) if error.code in (*_GONE, _OTHER) else None
    if package is None:
        return error
    where = package.url or "the place that it came from"
    fields = {**error.fields, **_fields(package), "detail": error.message}
    if error.code == _OTHER:
        return PackageOtherError(
            f"{package.name} {package.version} is not what the lock says: {where} holds other bytes now",
            hint=f"{_back(package)}. Nothing of what came was used.",
            fields=fields,
        )
    return PackageLostError(
        f"{package.name} {package.version} can't be had any more: there is nothing at {where}",
        hint=f"{_back(package)}; `roost build --rebuild` makes a new generation without it.",
        fields=fields,
    )


def _folder_gone(wheel: Wheel, error: CodedError) -> PackageLostError:
    return PackageLostError(
        f"{wheel.name} {wheel.version} is an editable install of {wheel.path}, where nothing can be installed from now",
        hint="Bring that folder back as it was, or make a new generation: `roost build --rebuild`.",
        fields={"package": wheel.name, "version": wheel.version, "path": wheel.path, "detail": error.message},
    )


def _back(package: Package) -> str:
    kind = "into its channel or a mirror of it (conda.mirrors in the config)"
    place = kind if isinstance(package, CondaPackage) else "at that address"
    return f"Put {package.file_name} (sha256:{package.sha256}) back {place} and try again"


def _fields(package: Package) -> dict[str, object]:
    return {
        "package": package.name,
        "version": package.version,
        "file_name": package.file_name,
        "url": package.url,
        "sha256": package.sha256,
    }


def _package(error: CodedError, lock: Lock) -> Package | None:
    """By what the engines tell: a URL, a file's name, or the distribution's."""
    said = {error.fields.get(name) for name in ("url", "file_name", "package")}
    everything: tuple[Package, ...] = (*lock.conda, *lock.wheels)
    for package in everything:
        if said & {package.url, package.file_name} - {None, ""}:
            return package
    named = [package for package in everything if package.name in said]
    named = named or [package for package in everything if package.file_name and package.file_name in error.message]
    return named[0] if named else None
