"""``lock --format cyclonedx|spdx``: the bill of materials of a definition.

Separate from ``locks``, whose formats a solver reads: this one has all platforms in one document, and is read by
scanners.
"""

from __future__ import annotations

import os
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.selector import build_selector
from roost.client.errors import usage_error
from roost.client.terminal.text import format_count

Json = dict[str, Any]
FORMATS = ("cyclonedx", "spdx")
SUFFIXES = {".cdx.json": "cyclonedx", ".cdx.xml": "cyclonedx", ".spdx.json": "spdx", ".spdx": "spdx"}
"""The format by the end of a file's name, as the standards recommend it."""
_NAMES = {"bom.json": "cyclonedx", "bom.xml": "cyclonedx"}
_TITLES = {"cyclonedx": "CycloneDX", "spdx": "SPDX"}


def find_format(output: str | None) -> str | None:
    """Return the format that the name of a file says; ``None`` if it is not one of a bill of materials."""
    name = os.path.basename(output or "").lower()
    return _NAMES.get(name) or next((format for end, format in SUFFIXES.items() if name.endswith(end)), None)


def write_sbom(context: Context, format: str) -> int:
    """Write the document to the file of ``-o``, or print it."""
    options = context.options
    request: Json = {"what": build_selector(context), "format": format, "platforms": options.platform}
    answer = context.request("POST", "/v1/sboms", {**request, "encoding": _find_encoding(format, options.output)})
    context.note_warnings(answer.get("warnings", []))
    if options.output:
        _write_text(options.output, answer["text"])
        context.note(f"wrote {options.output} ({_TITLES[format]}, {format_count(answer['packages'], 'component')})")
    if context.json:
        context.print_json(answer)
    elif not options.output:
        context.write_file(answer["text"])
    return 0


def _find_encoding(format: str, output: str | None) -> str:
    """Return how the file of that name is written. Raises: ClientError if the format has no such encoding."""
    name = os.path.basename(output or "").lower()
    if name.endswith(".xml"):
        if format != "cyclonedx":
            raise usage_error(f"-o {output}: SPDX is not written as XML.", "Name it *.spdx.json, or *.spdx for tags.")
        return "xml"
    return "tag-value" if format == "spdx" and name.endswith((".spdx", ".tag")) else "json"


def _write_text(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise usage_error(f"{path}: {error.strerror}", "Name a file that can be written with -o.") from error
