"""``registry``: the registries in which locks and images are shared."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.terminal.text import format_table

Json = dict[str, Any]
UNREACHABLE_STATUS = 6
NO_REGISTRY = "no registry is used: `roost registry add --workspace HOST/PREFIX` names one to share locks and images in"


def add(subparsers: Subparsers) -> None:
    """Add the family ``registry``."""
    family = add_family(subparsers, "registry", "Where locks and images are shared.", "roost registry list")
    adding = add_command(
        family,
        "add",
        add_registry_command,
        "Add a registry: for lookups, or with --workspace also for sharing.",
        "roost registry add --workspace registry.example.org/team",
    )
    adding.add_argument("location", metavar="HOST[:PORT][/PREFIX]")
    adding.add_argument(
        "--workspace", action="store_true", help="read and write; at most one registry is the workspace's"
    )
    adding.add_argument("--insecure", action="store_true", help="use plain http for the host")
    add_command(family, "list", list_command, "List the registries in lookup order.", "roost registry list")
    testing = add_command(family, "test", test_command, "Test the access to each, or to one.", "roost registry test")
    testing.add_argument("location", nargs="?", metavar="HOST[:PORT][/PREFIX]")
    removing = add_command(
        family,
        "remove",
        remove_command,
        "Remove a registry that was added; its content is not changed.",
        "roost registry remove registry.example.org/team",
    )
    removing.add_argument("location", metavar="HOST[:PORT][/PREFIX]")


def add_registry_command(context: Context) -> int:
    options = context.options
    kind = "workspace" if options.workspace else "catalogue"
    body = {"location": options.location, "kind": kind, "insecure": options.insecure}
    return _print_registries(context, context.request("POST", "/v1/registries", body))


def list_command(context: Context) -> int:
    return _print_registries(context, context.request("GET", "/v1/registries"))


def remove_command(context: Context) -> int:
    location = quote(context.options.location)
    return _print_registries(context, context.request("DELETE", f"/v1/registries?location={location}"))


def _print_registries(context: Context, answer: Json) -> int:
    if context.json:
        context.print_json(answer)
        return 0
    rows = [
        (each["location"], each["kind"], "http" if each["insecure"] else "https", each["origin"])
        for each in answer["registries"]
    ]
    if not rows:
        context.note(NO_REGISTRY)
    context.print_text(format_table(("REGISTRY", "KIND", "OVER", "FROM"), rows))
    return 0


def test_command(context: Context) -> int:
    body = {"location": context.options.location} if context.options.location else {}
    answer = context.request("POST", "/v1/registries/test", body)
    if context.json:
        context.print_json(answer)
    else:
        if not answer["tests"]:
            context.note(NO_REGISTRY)
        rows = [
            (test["location"], test["kind"], test["read"]["answer"], test["write"]["answer"], _failure(test))
            for test in answer["tests"]
        ]
        context.print_text(format_table(("REGISTRY", "KIND", "READ", "WRITE", "WHY"), rows))
    return 0 if all(test["ok"] for test in answer["tests"]) else UNREACHABLE_STATUS


def _failure(test: Json) -> str:
    """Return the first reason for a failure; writing counts only in a workspace's registry."""
    answers = [test["read"], *([test["write"]] if test["kind"] == "workspace" else [])]
    return next((each["reason"]["message"] for each in answers if each.get("reason")), "")
