"""``curated``: environments that come with roost or from the catalogues of registries."""

from __future__ import annotations

from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.environments.references import REFERENCE
from roost.client.cli.environments.views import format_labels, request_environments
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.terminal.text import format_count, format_table, short_digest

Json = dict[str, Any]
LOCATION = "HOST[:PORT][/PREFIX]"


def add(subparsers: Subparsers) -> None:
    """Add the family ``curated``."""
    family = add_family(subparsers, "curated", "Environments maintained by others.", "roost curated list")
    about = "List those shipped with roost and those imported from catalogues; the latest of each."
    listing = add_command(family, "list", list_command, about, "roost curated list")
    listing.add_argument("--all", action="store_true", help="also those that are archived")
    about = "Import what is new in the catalogues of the registries in use: all of it, or nothing."
    sync = add_command(family, "sync", sync_command, about, "roost curated sync")
    sync.add_argument("--registry", metavar=LOCATION, help="only this registry's catalogue, in use or not")
    about = "Add a version of an environment to a registry's catalogue."
    example = "roost curated publish train:3 --registry registry.example.org/team --as Roost-Train"
    publish = add_command(family, "publish", publish_command, about, example)
    publish.add_argument("reference", metavar=REFERENCE)
    publish.add_argument("--registry", metavar=LOCATION, help="default: the only catalogue in use")
    publish.add_argument("--as", dest="name", metavar="Roost-NAME", help="default: Roost- and its own name")


def list_command(context: Context) -> int:
    rows = request_environments(context, "only")
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
            format_labels(row),
            short_digest(row["definition_digest"]),
            "archived" if row["archived"] else " ",
        )
        for row in rows
    )
    context.print_text(format_table(heads, cells))
    return 0


def sync_command(context: Context) -> int:
    registry = context.options.registry
    answer = context.request("POST", "/v1/curated/sync", {"registry": registry} if registry else {})
    for name in answer["left_out"]:
        context.note(f"{name} was left out: roost reserves that name")
    if context.json:
        context.print_json(answer)
        return 0
    for version in answer["added"]:
        context.print(f"{version['name']}:{version['version']}  from {version['origin']}")
    if not answer["added"]:
        context.note(_nothing_new_text(answer["catalogues"]))
    return 0


def _nothing_new_text(catalogues: list[Json]) -> str:
    if not catalogues:
        return "no catalogue is in use: `roost registry add` adds one"
    counts = []
    for catalogue in catalogues:
        versions = catalogue["versions"]
        content = "no catalogue" if versions is None else format_count(versions, "version")
        counts.append(f"{catalogue['registry']} ({content})")
    return f"nothing new in {', '.join(counts)}"


def publish_command(context: Context) -> int:
    options = context.options
    request = {"environment": options.reference, "registry": options.registry, "name": options.name}
    sent = {key: value for key, value in request.items() if value is not None}
    answer = context.request("POST", "/v1/curated/publish", sent)
    if context.json:
        context.print_json(answer)
        return 0
    version = f"{answer['name']}:{answer['version']}"
    location = f"in {answer['registry']}; `roost curated sync` fetches it"
    context.print(f"{version}  {location}" if answer["added"] else f"{version} (was published already)")
    return 0
