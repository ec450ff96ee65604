"""``image``: details of images, the list of images, push and pull."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.execution.builds import run_build
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.cli.selector import add_selector_options, build_selector
from roost.client.errors import client_error
from roost.client.terminal.text import format_size, format_table, short_digest

Json = dict[str, Any]
NOT_FOUND_STATUS = 7


def add(subparsers: Subparsers) -> None:
    """Add the family ``image``."""
    family = add_family(subparsers, "image", "Images: details, push and pull.", "roost image show")
    show = add_command(
        family, "show", show_command, "Show the image of an environment, and where it is.", "roost image show --json"
    )
    push = add_command(
        family,
        "push",
        push_command,
        "Build the image and push it to the workspace's registry; needs no engine if there are no docker steps.",
        "roost image push -f roost.toml",
    )
    pull = add_command(
        family, "pull", pull_command, "Pull the image from a registry into the engine.", "roost image pull"
    )
    for parser in (show, push, pull):
        add_selector_options(parser, "what to make the image for (docker)")
        parser.set_defaults(target="docker")
    add_command(
        family, "list", list_command, "List the images that were built or pulled here.", "roost image list --json"
    )


def show_command(context: Context) -> int:
    request = {"what": build_selector(context), "target": context.options.target}
    answer = context.request("POST", "/v1/images/show", request)
    if context.json:
        context.print_json(answer)
    else:
        context.print_lines(_detail_lines(answer))
    return 0


def _detail_lines(answer: Json) -> Iterator[str]:
    fields = {
        "image": answer["image"],
        "in engine": _yes_no_unknown(answer["exists_in_engine"]),
        "in registry": _yes_no_unknown(answer["exists_in_registry"]),
        "registry": answer["registry"],
        "repository": answer["repository"],
        "digest": answer["digest"],
        "manifest digest": answer["manifest_digest"],
        "interpreter": answer["interpreter_path"],
        "environment": answer["environment_path"],
        "definition": answer["definition_digest"],
        "lock": answer["lock_digest"],
        "generation": answer["generation"],
        "platform": answer["platform"],
    }
    width = max(map(len, fields))
    yield from (f"{name.ljust(width)}  {value}" for name, value in fields.items() if value is not None)
    yield from (f"{'dockerfile'.ljust(width)}  {line}" for line in answer["dockerfile"].splitlines())
    for layer in answer["layers"]:
        packages = ", ".join(layer.get("packages", [])) or "of the base, or of no package"
        yield f"{'layer'.ljust(width)}  {short_digest(layer['diff_id'])} {format_size(layer.get('size'))} {packages}"


def _yes_no_unknown(value: bool | None) -> str:
    return "not known" if value is None else "yes" if value else "no"


def list_command(context: Context) -> int:
    answer = context.request("GET", "/v1/images")
    if context.json:
        context.print_json(answer)
        return 0
    if not answer["images"]:
        context.note("no image was built or pulled: `roost build -t docker` makes one")
    heads = ("IMAGE", "DIGEST", "PLATFORM", "SIZE", "IN ENGINE", "PUSHED AS")
    rows = (
        (
            image["name"],
            short_digest(image["digest"]),
            image["platform"],
            format_size(image["bytes"]) if image["bytes"] is not None else None,
            _yes_no_unknown(image["in_engine"]),
            " ".join(image["places"]),
        )
        for image in answer["images"]
    )
    context.print_text(format_table(heads, rows))
    return 0


def push_command(context: Context) -> int:
    result = run_build(context, {"what": build_selector(context), "target": context.options.target, "push": True})
    return _print_artifacts(context, result)


def pull_command(context: Context) -> int:
    request = {"what": build_selector(context), "target": context.options.target}
    plan = context.request("POST", "/v1/plans", {"what": request["what"], "targets": [request["target"]]})["plans"][0]
    codes = [reason["code"] for reason in plan["reasons"]]
    if plan["action"] == "build-image" and "build-cheaper" not in codes:
        raise client_error(
            "image-missing",
            "No registry is known to have the image: " + "; ".join(reason["message"] for reason in plan["reasons"]),
            "`roost build -t docker` builds it; `roost image push`, on a machine that has it, shares it.",
            NOT_FOUND_STATUS,
        )
    return _print_artifacts(context, run_build(context, request))


def _print_artifacts(context: Context, result: Json) -> int:
    if context.json:
        context.print_json({"build": result})
        return 0
    for artifact in result["artifacts"]:
        context.print(f"{artifact.get('reference')} {artifact.get('digest')}")
    return 0
