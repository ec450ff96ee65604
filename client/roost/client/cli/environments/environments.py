"""``env``: the workspace's environments, their versions and labels."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any
from urllib.parse import quote, urlencode

from roost.client.cli.context import Context
from roost.client.cli.environments import comparing, exchange, wheels, where_used
from roost.client.cli.environments.changes import as_before, summary
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.cli.selector import add_what, what, working_folder
from roost.client.errors import usage_error
from roost.client.terminal.text import format_table, format_time, paint, short_digest

Json = dict[str, Any]
NAMED = "NAME[:VERSION|@LABEL]"
MOST_FIELDS = 6
PAGE = 1000
VERSION = re.compile(r"[1-9][0-9]{0,17}")
"""As the store has it: more than SQLite's integers hold is no version."""


def add(subparsers: Subparsers) -> None:
    """The family of ``env``."""
    family = add_family(subparsers, "env", "The workspace's environments.", "roost env list")
    _add_register(family)
    listed = add_command(family, "list", list_command, "All environments, the latest of each.", "roost env list --json")
    listed.add_argument("--all", action="store_true", help="also those that are archived")
    listed.add_argument("--limit", type=at_least_one, metavar="N", help="so many at most (all)")
    listed.add_argument("--curated", action="store_true", help="also those that others keep: `roost curated list`")
    about = "One version: its definition, settings and generations."
    show = add_command(family, "show", show_command, about, "roost env show train:3 --json")
    about = "The versions of one, and what each changed in the one before it."
    versions = add_command(family, "versions", versions_command, about, "roost env versions train")
    versions.add_argument("--all", action="store_true", help="also those that are archived")
    about = "Put a label on a version, or move it there."
    label = add_command(family, "label", label_command, about, "roost env label train:3 production")
    about = "A copy under another name."
    clone = add_command(family, "clone", clone_command, about, "roost env clone Roost-Minimal mine")
    about = "Change a version in your editor, and register the result as the next one."
    edit = add_command(family, "edit", edit_command, about, "roost env edit train")
    archive = add_command(family, "archive", archive_command, "Hide it from lists.", "roost env archive train:3")
    restore = add_command(family, "restore", restore_command, "Bring it back.", "roost env restore train:3")
    for parser in (show, label, clone, edit, archive, restore):
        parser.add_argument("reference", metavar=NAMED)
    versions.add_argument("reference", metavar="NAME")
    label.add_argument("label", metavar="LABEL")
    label.add_argument("--remove", action="store_true", help="take the label away")
    clone.add_argument("new", metavar="NEW")
    edit.add_argument("--name", metavar="NAME", help="register the result under another name")
    where_used.add(family)
    wheels.add(family)
    comparing.add(family)
    exchange.add(family)


def _add_register(family: Subparsers) -> None:
    about = "Make a definition the next version of an environment; the same again changes nothing."
    register = add_command(family, "register", register_command, about, "roost env register -f environment.yml")
    add_what(register, results=False)
    register.add_argument("--name", metavar="NAME", help="else as the file says, or as its folder is called")
    register.add_argument("--label", action="append", default=[], metavar="LABEL", help="put a label on it")


def at_least_one(text: str) -> int:
    """For an option that counts rows."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("expected a number from 1")
    return int(text)


def split_reference(text: str) -> tuple[str, dict[str, str]]:
    """The name, and the rest as a query. What is wrong with them is the daemon's to say."""
    for mark, key in ((":", "version"), ("@", "label")):
        name, found, rest = text.partition(mark)
        if found and not (mark == ":" and "@" in name):
            if key == "version" and not VERSION.fullmatch(rest):
                raise usage_error(f"{text!r} names no version.", "Write NAME:VERSION as in train:3, or NAME@LABEL.")
            return name, {key: rest}
    return text, {}


def route(reference: str, *parts: str, **query: object) -> str:
    """The path of an environment's resource, for the version that ``reference`` names."""
    name, chosen = split_reference(reference)
    if name in ("", ".", ".."):  # none of them can stand in a route
        raise usage_error(f"{name!r} can't be the name of an environment.", f"Write {NAMED}.")
    if empty := [part for part in parts if part in ("", ".", "..")]:
        raise usage_error(f"{empty[0]!r} can't be a label.", "Write letters, digits, '.', '_' and '-'.")
    path = "/".join(["/v1/environments", *(quote(part, safe="") for part in (name, *parts))])
    said = {**chosen, **{key: value for key, value in query.items() if value is not None}}
    return f"{path}?{urlencode(said)}" if said else path


def version_of(context: Context, reference: str) -> Json:
    """The version that ``reference`` names, whole."""
    return context.request("GET", route(reference))


def register_command(context: Context) -> int:
    options = context.options
    request = {"what": what(context), "name": options.name, "labels": options.label}
    return registered(context, {key: value for key, value in request.items() if value is not None})


def registered(context: Context, request: Json) -> int:
    """Register, and say what came of it."""
    answer = context.request("POST", "/v1/environments", request)
    context.note_warnings(answer.get("warnings", []))
    if context.json:
        context.print_json(answer)
        return 0
    environment = answer["environment"]
    version = f"{environment['name']}:{environment['version']}"
    context.print(version + as_before(answer))
    return 0


def list_command(context: Context) -> int:
    rows = environment_rows(context, "with" if context.options.curated else "without", context.options.limit)
    if context.json:
        context.print_json({"environments": rows})
        return 0
    if not rows:
        adding = "`roost env register` adds one, and so does the first `roost run`"
        context.note(f"no environment is registered: {adding}; `roost curated list` shows what others keep for you")
    heads = ("NAME", "LATEST", "VERSIONS", "LABELS", "KIND", "DEFINITION", "CREATED")
    cells = (
        (
            row["name"],
            row["version"],
            row["versions"],
            _labels(row),
            row["kind"] + (", archived" if row["archived"] else ""),
            short_digest(row["definition_digest"]),
            format_time(row["created"]),
        )
        for row in rows
    )
    context.print(format_table(heads, cells))
    return 0


def environment_rows(context: Context, curated: str, most: int | None = None) -> list[Json]:
    """The first ``most`` of a list, or all, page by page; ``curated``: ``without`` those, ``with`` them, or ``only``
    them."""
    archived = {"archived": "true"} if context.options.all else {}
    rows, following = list[Json](), ""
    while following is not None and (most is None or len(rows) < most):
        limit = min(PAGE, most - len(rows)) if most is not None else PAGE
        query = {"limit": limit, "curated": curated, "after": following, **archived}
        answer = context.request("GET", f"/v1/environments?{urlencode(query)}")
        rows += answer["environments"]
        following = answer["next"]
    return rows


def _labels(row: Json) -> str:
    return ", ".join(label for label in row["labels"] if label != "latest")


def show_command(context: Context) -> int:
    shown = version_of(context, context.options.reference)
    if context.json:
        context.print_json(shown)
        return 0
    text = context.request("GET", route(f"{shown['name']}:{shown['version']}", "document"))["text"]
    head = paint(f"{shown['name']}:{shown['version']}", "bold", sys.stdout)
    facts = [shown["kind"], *shown["labels"], *(["archived"] if shown["archived"] else [])]
    lines = [
        f"{head}  ({', '.join(facts)})",
        f"created     {format_time(shown['created'])}{_made_from(shown)}",
        f"definition  {shown['definition_digest']}",
        f"settings    {shown['settings_digest']}",
        "",
        text.strip(),
        "",
        _generations(shown),
    ]
    context.print("\n".join(lines))
    return 0


def _made_from(shown: Json) -> str:
    origin, differences = shown.get("origin"), shown.get("differences")
    if not origin or differences is None:
        return f", from {origin}" if origin else ""
    if not differences:
        return f", cloned from {origin} and the same as it"
    fields = [difference["field"] for difference in differences]
    more = f" and {len(fields) - MOST_FIELDS} more" if len(fields) > MOST_FIELDS else ""
    return f", made from {origin}, differs in {', '.join(fields[:MOST_FIELDS])}{more}"


def _generations(shown: Json) -> str:
    generations, python = shown["generations"], shown["definition"].get("python", {})
    if not generations and python.get("user_managed"):
        return f"User-managed: roost installs nothing, and uses {python.get('interpreter', 'python')} as it is."
    if not generations:
        return "It was never solved on this machine: `roost build` makes its first generation."
    heads = ("GENERATION", "PLATFORM", "LOCK", "CREATED", "")
    rows = (
        (
            generation["number"],
            generation["platform"] + (", this machine only" if generation["host"] else ""),
            short_digest(generation["lock_digest"]),
            f"{format_time(generation['created'])}{_as_of(generation)}",
            "current" if generation["current"] else " ",
        )
        for generation in generations
    )
    return format_table(heads, rows)


def _as_of(generation: Json) -> str:
    return f", as of {format_time(generation['as_of'])}" if generation.get("as_of") else ""


def versions_command(context: Context) -> int:
    reference = context.options.reference
    if split_reference(reference)[1]:
        raise usage_error(f"{reference!r} is one version.", "`roost env show` shows it; give NAME for all of them.")
    versions = _version_rows(context)
    if context.json:
        context.print_json({"versions": versions})
        return 0
    heads = ("VERSION", "LABELS", "DEFINITION", "CREATED", "CHANGED")
    rows = (
        (
            row["version"],
            ", ".join(row["labels"]),
            short_digest(row["definition_digest"]),
            f"{format_time(row['created'])}{' (archived)' if row['archived'] else ''}",
            summary(row.get("changes")),
        )
        for row in versions
    )
    context.print(format_table(heads, rows))
    return 0


def _version_rows(context: Context) -> list[Json]:
    """All of them, page by page."""
    reference, archived = context.options.reference, "true" if context.options.all else None
    rows, before = list[Json](), None
    while True:
        page = route(reference, "versions", limit=PAGE, before=before, archived=archived)
        answer = context.request("GET", page)
        rows += answer["versions"]
        if (before := answer["next"]) is None:
            return rows


def label_command(context: Context) -> int:
    options = context.options
    name, _ = split_reference(options.reference)
    if options.remove:
        answer = context.request("DELETE", route(name, "labels", options.label))
        said = f"{name} has no label {options.label} any more"
    else:
        version = version_of(context, options.reference)["version"]
        answer = context.request("PUT", route(name, "labels", options.label), {"version": version})
        said = f"{name}@{options.label} is {name}:{version}"
    context.print_json(answer) if context.json else context.print(said)
    return 0


def clone_command(context: Context) -> int:
    options = context.options
    asked = {"cwd": working_folder(), "environment": options.reference}
    return registered(context, {"what": asked, "name": options.new})


def archive_command(context: Context) -> int:
    return _archive(context, "archive", "is hidden; runs, labels and {0} by number find it as before")


def restore_command(context: Context) -> int:
    return _archive(context, "restore", "is in the lists again")


def _archive(context: Context, verb: str, outcome: str) -> int:
    reference = context.options.reference
    name, chosen = split_reference(reference)
    version = version_of(context, reference)["version"] if chosen else None
    answer = context.request("POST", route(name, verb), {"version": version} if version else {})
    context.print_json(answer) if context.json else context.print(f"{reference} {outcome.format(name)}")
    return 0


def edit_command(context: Context) -> int:
    from roost.client.cli.environments import editing

    options = context.options
    before = context.request("GET", route(options.reference, "document", new=options.name or ""))
    return editing.edit(context, before, options.name or before["name"], registered)
