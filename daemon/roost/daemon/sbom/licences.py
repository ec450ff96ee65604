"""Licences as packages state them: SPDX expressions where they are some, else the packages' own words. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from roost.daemon.sbom.inventory import Licence
from roost.wire.visible import make_visible

_LONGEST_EXPRESSION = 500
"""Characters. ``License`` may have the text of a licence."""
_DEEPEST = 20
"""Parentheses; the parser of ``packaging`` is recursive."""
_LONGEST_NAME = 120
_UNKNOWN = frozenset({"", "unknown", "none", "n/a", "noassertion", "other", "dual license", "proprietary license"})
_CLASSIFIER = "License :: "
_EXPRESSIONS = {
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "University of Illinois/NCSA Open Source License": "NCSA",
    "zlib/libpng License": "Zlib",
}
"""Trove classifiers that mean one SPDX licence. "Apache Software License" and "BSD License" name no version."""


def read_licence(text: str) -> Licence | None:
    """Return the licence that ``text`` states; ``None`` if it states none."""
    text = text.strip()
    if text.lower() in _UNKNOWN:
        return None
    if (expression := find_expression(text)) is not None:
        return Licence(expression=expression)
    return Licence(name=_shorten(text))


def find_expression(text: str) -> str | None:
    """Return ``text`` as a canonical SPDX expression; ``None`` if it is not one."""
    if len(text) > _LONGEST_EXPRESSION or text.count("(") > _DEEPEST:
        return None
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return None


def choose_licence(expression: str, text: str, classifiers: Iterable[str]) -> Licence | None:
    """Return the licence of a distribution by its core metadata: ``License-Expression`` (PEP 639), else an SPDX
    expression in ``License``, else classifiers that mean one, else the words of either."""
    for candidate in (expression, text):
        if found := find_expression(candidate.strip()):
            return Licence(expression=found)
    named = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith(_CLASSIFIER)]
    named = [each for each in dict.fromkeys(named) if each != "OSI Approved"]
    found_ids = [_EXPRESSIONS.get(each, "") for each in named]
    if len(found_ids) == 1 and found_ids[0]:
        return Licence(expression=found_ids[0])
    return (
        read_licence(expression) or read_licence(text) or (Licence(name=_shorten(", ".join(named))) if named else None)
    )


def _shorten(text: str) -> str:
    """Return the first line of ``text``, which may be a whole licence, as people may see it."""
    line = make_visible(text.split("\n", 1)[0].strip())
    return line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 1] + "…"
