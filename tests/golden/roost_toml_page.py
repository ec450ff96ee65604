"""The page about ``roost.toml``, from the table that its reader reads by."""

from __future__ import annotations

from collections.abc import Iterator

from roost.model.readers.roost_keys import KEYS, TOP_KEYS, Part, RoostKey, Shape

SHAPES: dict[Shape, str] = {
    "text": "string",
    "texts": "list of strings",
    "flag": "`true` or `false`",
    "entries": "list of strings",
    "lists": "table of lists",
    "string or table": "string or table",
    "tables": "table of tables",
}
PARTS: dict[Part, str] = {"definition": "yes", "settings": "no", "neither": "no"}
EXAMPLE = """name = "train"

[base]
image = "debian:12-slim"
steps = ["RUN apt-get update && apt-get install -y libgomp1"]
platform = "linux/amd64"

[conda]
channels = ["conda-forge"]
dependencies = ["python=3.11", "numpy>=1.26"]

[pip]
requirements = ["six==1.16.0", "torch --index=https://wheels.example.org/cu124"]

[python]
requires = ">=3.10"

[system]
cuda = "12"

[variables]
OMP_NUM_THREADS = "4"

[container]
shm_size = "2g"
arguments = ["--ulimit", "memlock=-1"]
"""
HEAD = """# roost.toml

`roost.toml` is roost's own file. It can say everything that a definition and its settings can, which no other format
can. The same tables under `[tool.roost]` of a `pyproject.toml` mean the same (`[tool.roost.conda]`, and so on).
`roost env export --format roost` writes one from any other format, `roost add` and `roost remove` edit it. An unknown
key is an error with its line, its column and the nearest known key; so is a value of another type.

A key is *digested* if another value makes another environment, with a lock of its own. The others only shape runs: a
change of them builds nothing, and the next run registers another version of the environment. The name, the place of
the file, comments and the order of tables count nowhere. The order of channels, dependencies, requirements and steps
counts.

"""


def format_page() -> str:
    """Return the page."""
    return HEAD + "\n".join(_format_parts())


def _format_parts() -> Iterator[str]:
    yield "## An example\n"
    yield "\n".join(f"    {line}".rstrip() for line in EXAMPLE.splitlines()) + "\n"
    yield "## Outside of the tables\n"
    yield from _format_keys(TOP_KEYS)
    for name, section in KEYS.items():
        yield f"## [{name}]\n\n{section.meaning}\n"
        if section.keys:
            yield from _format_keys(section.keys)
            continue
        names = ", ".join(f"`{each}`" for each in section.names) if section.names else "any"
        yield f"- keys: {names}\n- values: strings\n- digested: {PARTS[section.part]}\n"


def _format_keys(keys: dict[str, RoostKey]) -> Iterator[str]:
    yield "| key | type | default | digested | meaning |\n|---|---|---|---|---|"
    for name, key in keys.items():
        yield f"| `{name}` | {SHAPES[key.shape]} | {key.default or 'none'} | {PARTS[key.part]} | {key.meaning} |"
    yield ""
