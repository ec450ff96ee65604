"""The files that tell uv how to choose, in TOML: its configuration, and a project with an index for each package. Pure.

uv reads no other configuration. A requirements file can't say that only one index may have a package; the sources of a
project can.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from roost.daemon.engines.uv.requirements import UvChoices, requirement_name

_MARKER = " ; "


def render_configuration(choices: UvChoices, default_index: str | None) -> str:
    """Return the content of ``uv.toml``, without metadata. ``default_index`` comes after all other indexes."""
    rows = [f"{key} = {_quote(value)}" for key, value in sorted(choices.settings.items()) if isinstance(value, str)]
    for key, value in sorted(choices.settings.items()):
        if isinstance(value, dict):
            inner = ", ".join(f"{_quote(name)} = {_quote_choice(choice)}" for name, choice in sorted(value.items()))
            rows.append(f"{key} = {{ {inner} }}")
    indexes = [f"[[index]]\nurl = {_quote(url)}" for url in choices.indexes]
    if choices.indexes and default_index is not None:
        indexes.append(f"[[index]]\nurl = {_quote(default_index)}\ndefault = true")
    return "\n".join([*rows, *indexes, ""])


def render_metadata(tables: Iterable[dict[str, object]]) -> str:
    """Return uv's ``dependency-metadata`` as it was written in a definition."""
    lines = []
    for table in tables:
        lines += ["[[dependency-metadata]]", *(f"{key} = {_quote(value)}" for key, value in table.items())]
    return "\n".join([*lines, ""])


def render_pinned_project(pinned: Sequence[tuple[str, str]]) -> str:
    """Return a ``pyproject.toml`` whose dependencies are ``pinned``: requirements, each with the URL of its index."""
    urls = list(dict.fromkeys(url for _, url in pinned))
    sources: dict[str, list[str]] = {}
    for line, url in pinned:
        _, _, marker = line.partition(_MARKER)
        limit = f", marker = {_quote(marker.strip())}" if marker else ""
        sources.setdefault(requirement_name(line) or line, []).append(f'{{ index = "index-{urls.index(url)}"{limit} }}')
    lines = ["[project]", 'name = "roost-definition"', 'version = "0"']
    lines += [f"dependencies = {_quote([line for line, _ in pinned])}", "[tool.uv.sources]"]
    lines += [f"{_quote(name)} = [{', '.join(dict.fromkeys(entries))}]" for name, entries in sorted(sources.items())]
    for number, url in enumerate(urls):
        lines += ["[[tool.uv.index]]", f'name = "index-{number}"', f"url = {_quote(url)}", "explicit = true"]
    return "\n".join([*lines, ""])


def _quote_choice(choice: str) -> str:
    return choice if choice == "false" else _quote(choice)


def _quote(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
