"""``curated``: environments that others keep: those that come with roost, and those of catalogues."""

from __future__ import annotations

from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.environments.environments import NAMED, environment_rows
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.terminal.text import format_count, format_table, short_digest

Json = dict[str, Any]
LOCATION = "HOST[:PORT][/PREFIX]"


def add(subparsers: Subparsers) -> None:
    """The family of ``curated``."""
    family = add_family(subparsers, "curated", "Environments that others keep for you.", "roost curated list")
    about = "Those that come with roost, and those taken from catalogues; the latest of each."
    listed = add_command(family, "list", list_command, about, "roost curated list")
    listed.add_argument("--all", action="store_true", help="also those that are archived")
    about = "Take what is new in the catalogues of the registries in use: all of it, or nothing."
    sync = add_command(family, "sync", sync_command, about, "roost curated sync")
    sync.add_argument("--registry", metavar=LOCATION, help="this one's catalogue only, in use or not")
    about = "Add a version of an environment to a registry's catalogue, for all who use that."
    example = "roost curated publish train:3 --registry registry.example.org/team --as Roost-Train"
    publish = add_command(family, "publish", publish_command, about, example)
    publish.add_argument("reference", metavar=NAMED)
    publish.add_argument("--registry", metavar=LOCATION, help="else the one catalogue that is in use")
    publish.add_argument("--as", dest="name", metavar="Roost-NAME", help="else Roost- and its own name")


def list_command(context: Context) -> int:
    rows = environment_rows(context, "only")
    if context.json:
        context.print_json({"environments": rows})
        return 0
    heads = ("NAME", "LATEST", "VERSIONS", "FROM", "LABELS", "DEFINITION", "")
    cells = (
        (
            row["name"],
            row["version"],
            row["versions"],
            row["origin"],
            ", ".join(label for label in row["labels"] if label != "latest"),
            short_digest(row["definition_digest"]),
            "archived" if row["archived"] else " ",
        )
        for row in rows
    )
    context.print(format_table(heads, cells))
    return 0


def sync_command(context: Context) -> int:
    asked = context.options.registry
    answer = context.request("POST", "/v1/curated/sync", {"registry": asked} if asked else {})
    for name in answer["left_out"]:
        context.note(f"{name} was left out: that name is roost's own")
    if context.json:
        context.print_json(answer)
        return 0
    for version in answer["added"]:
        context.print(f"{version['name']}:{version['version']}  from {version['origin']}")
    if not answer["added"]:
        context.note(_nothing(answer["catalogues"]))
    return 0


def _nothing(catalogues: list[Json]) -> str:
    if not catalogues:
        return "no catalogue is in use: `roost registry add` takes one"
    said = ", ".join(f"{each['registry']} ({_held(each['versions'])})" for each in catalogues)
    return f"nothing new in {said}"


def _held(versions: int | None) -> str:
    return "no catalogue" if versions is None else format_count(versions, "version")


def publish_command(context: Context) -> int:
    options = context.options
    asked = {"environment": options.reference, "registry": options.registry, "name": options.name}
    answer = context.request(
        "POST", "/v1/curated/publish", {key: value for key, value in asked.items() if value is not None}
    )
    if context.json:
        context.print_json(answer)
        return 0
    published = f"{answer['name']}:{answer['version']}"
    told = f"in {answer['registry']}; `roost curated sync` brings it"
    context.print(f"{published}  {told}" if answer["added"] else f"{published} (was published already)")
    return 0
