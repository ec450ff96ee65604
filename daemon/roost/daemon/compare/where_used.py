"""Where a package is used: environments, generations, images, prefixes and runs whose lock holds it.

Separate from ``package_specs``, which knows nothing of the index.
"""

from __future__ import annotations

from roost.daemon.compare.package_specs import match_packages, parse_package_spec
from roost.daemon.engines.conda.rules import CondaRules
from roost.model.locks.lock import PackageKind
from roost.model.package_uses import PackageVersion, UsePage, Uses
from roost.store.index.index import Index


class WhoResponse(Uses, frozen=True, kw_only=True):
    """Uses of a package: complete counts, and the first ``limit`` rows of each list. An environment that was never
    solved holds no packages yet."""

    package: str
    versions: list[PackageVersion]
    """Versions that the spec allows and some lock holds, the newest first."""
    others: list[PackageVersion]
    """Versions of the same name that the spec does not allow."""


async def find_where_used(
    index: Index, rules: CondaRules, text: str, kind: PackageKind | None, limit: int, page: UsePage | None
) -> WhoResponse:
    """Return the uses of the packages that the spec ``text`` allows, of ``kind`` only if one is given.

    ``page``: of one list, the rows that follow a page. Raises PackageSpecError.
    """
    spec = parse_package_spec(text)
    known = [each for each in await index.packages.list_versions(spec.name) if kind in (None, each.package.kind)]
    is_allowed = await match_packages(rules, spec, [each.package for each in known])
    allowed = [each for each, allows in zip(known, is_allowed, strict=True) if allows]
    others = [each.package for each, allows in zip(known, is_allowed, strict=True) if not allows]
    uses = await index.packages.find_uses(spec.name, [each.id for each in allowed], limit, page)
    return WhoResponse(
        package=spec.name + spec.constraint,
        versions=[each.package for each in reversed(allowed)][:limit],
        others=others[::-1][:limit],
        **{field: getattr(uses, field) for field in Uses.__struct_fields__},
    )
