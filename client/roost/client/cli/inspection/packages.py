"""``list``: the packages of an environment."""

from __future__ import annotations

import argparse
import fnmatch
import re
from collections.abc import Callable, Sequence
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_selector_options, build_selector
from roost.client.errors import ClientError, client_error
from roost.client.terminal.text import format_count, format_path, format_size, format_table, short_digest

Json = dict[str, Any]
NOT_FOUND_STATUS = 7
_COLUMNS: dict[str, Callable[[Json], object]] = {
    "name": lambda row: row["name"],
    "version": lambda row: row["version"],
    "build": lambda row: row.get("build"),
    "kind": lambda row: row["kind"],
    "size": lambda row: format_size(row["bytes"]) if row["bytes"] else None,
    "installed": lambda row: format_size(row["installed_bytes"]) if row.get("installed_bytes") else None,
    "source": lambda row: row["source"],
    "asked": lambda row: format_places(row),
    "file": lambda row: row.get("file"),
    "url": lambda row: row.get("url"),
    "sha256": lambda row: row.get("sha256"),
}
_DEFAULT = ("name", "version", "build", "kind", "size", "source", "asked")
_ORDERS: dict[str, Callable[[Json], tuple[Any, ...]]] = {
    "name": lambda row: (row["name"], row["kind"]),
    "kind": lambda row: (row["kind"], row["name"]),
    "size": lambda row: (-(row["bytes"] or 0), row["name"]),
    "installed": lambda row: (-(row.get("installed_bytes") or 0), row["name"]),
    "source": lambda row: (row["source"], row["name"]),
}


def add(subparsers: Subparsers) -> None:
    """Add ``list``."""
    about = "List the packages that are locked; builds and locks nothing."
    parser = add_command(subparsers, "list", list_command, about, "roost list 'lib*' --sort size")
    parser.add_argument("patterns", nargs="*", metavar="NAME", help="packages of that name; * and ? stand for anything")
    parser.add_argument("--asked", action="store_true", help="only what the definition itself names")
    one = parser.add_mutually_exclusive_group()
    for kind in ("conda", "pip"):
        about = f"{kind}'s packages only"
        one.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, help=about)
    parser.add_argument("--sort", choices=tuple(_ORDERS), default="name", help="default: name; sizes: largest first")
    columns = f"some of {', '.join(_COLUMNS)}, with commas between"
    chosen = parser.add_argument("--columns", type=_parse_columns, metavar="COLUMNS", default=_DEFAULT, help=columns)
    chosen.complete = " ".join(_COLUMNS)  # type: ignore[attr-defined]  # see cli.completion.values
    add_selector_options(parser, "whose packages: local or docker (auto)")


def _parse_columns(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in _COLUMNS]
    if unknown or not names:
        given = f"{unknown[0]!r} is no column" if unknown else "no column is named"
        raise argparse.ArgumentTypeError(f"{given}: there are {', '.join(_COLUMNS)}")
    return names


def list_command(context: Context) -> int:
    """Raises: ClientError with exit status 7 if names are given and nothing has one."""
    options = context.options
    answer = request_packages(context, needs=False)
    rows = [row for row in answer["packages"] if options.kind in (None, row["kind"])]
    rows = [row for row in rows if row["asked"] or not options.asked]
    found = [row for row in rows if matches(row["name"], options.patterns)]
    if options.patterns and not found:
        raise absent_error(options.patterns, rows)
    found.sort(key=_ORDERS[options.sort])
    if context.json:
        context.print_json({**answer, "packages": found})
        return 0
    heads = [name.upper() for name in options.columns]
    cells = ([_COLUMNS[name](row) for name in options.columns] for row in found)
    context.print_text(format_table(heads, cells))
    context.note(_summarize(answer, found))
    return 0


def request_packages(context: Context, *, needs: bool) -> Json:
    """Return what is locked (``wire.PackagesView``), and note where it was read from."""
    request: Json = {"what": build_selector(context), "target": context.options.target}
    answer = context.request("POST", "/v1/packages", {**request, **({"needs": True} if needs else {})})
    context.note_source(answer["source"])
    context.note_warnings(answer["warnings"])
    return answer


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a package has one of the names, in any spelling; any package does if there are none."""
    normal = normalise(name)
    return not patterns or any(fnmatch.fnmatchcase(normal, normalise(pattern)) for pattern in patterns)


def normalise(name: str) -> str:
    """Return a name as PEP 503 normalises it; conda's names differ from that by ``_`` and ``.`` only."""
    return re.sub(r"[-_.]+", "-", name).lower() if not name.startswith("__") else name.lower()


def absent_error(patterns: Sequence[str], rows: Sequence[Json]) -> ClientError:
    """Return the error that no package has one of the names."""
    from difflib import get_close_matches  # only after a mistake

    names = " or ".join(patterns)
    near = get_close_matches(normalise(patterns[0]), [row["name"] for row in rows], n=3)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return client_error(
        "package-absent",
        f"No package here is called {names}",
        f"{hint}`roost why {patterns[0]}` says where else it is; `roost list` shows all.",
        NOT_FOUND_STATUS,
    )


def format_places(row: Json) -> str | None:
    """Return where the definition names a package: ``environment.yml:5:5``, or how if it stands in no file."""
    if not row["asked"]:
        return None
    return ", ".join(dict.fromkeys(format_ask(ask) for ask in row["asks"]))


def format_ask(ask: Json) -> str:
    """Return the place of a line of a definition, or the line itself if it stands in no file."""
    where = ask.get("location")
    if not where:
        return str(ask["text"])
    return ":".join(str(part) for part in (format_path(where["path"]), where["line"], where["column"]) if part)


def _summarize(answer: Json, rows: Sequence[Json]) -> str:
    sizes = [row["bytes"] for row in rows if row["bytes"]]
    asked = sum(row["asked"] for row in rows)
    parts = [f"{format_count(len(rows), 'package')}, {asked} asked for"]
    parts += [f"{format_size(sum(sizes))} {'packed' if answer['prefix'] else 'to fetch'}"] if sizes else []
    number = answer["generation"]
    lock = f"lock {short_digest(answer['lock_digest'])}" + (f", generation {number}" if number else "")
    parts.append(f"{lock} for {answer['platform']}")
    if answer["python"]:
        parts.append(f"on this machine's {answer['python']}")
    if answer["project"]:
        parts.append(f"with the project {answer['project']} itself on top")
    if answer["base"]:
        parts.append(f"on top of {answer['base']}, whose own packages are not listed")
    elif not answer["prefix"]:
        parts.append("not built")
    return "; ".join(parts)
