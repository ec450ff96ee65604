"""``env audit``, and ``env who --finding``: packages that advisories are about."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_selector_options, build_selector, require_utf8, working_folder
from roost.client.errors import usage_error
from roost.client.terminal.text import format_count, format_path, paint

Json = dict[str, Any]
ABOUT = """Look packages up in a local file of OSV advisories, without a connection.

Without NAME, -e, -f and --image, all current environments are looked up. Exit status: 0 if nothing is found, 1 if
something is. Packages of conda are looked up only if their channel says which project of PyPI they are.
"""
FOUND_STATUS = 1
_COLOURS = {"critical": "red", "high": "red", "medium": "yellow"}
_MOST_NAMES = 8
_MOST_USES = 5


def add(family: Subparsers) -> None:
    """Add ``env audit``."""
    about = "Look packages up in a local file of OSV advisories, without a connection."
    parser = add_command(family, "audit", audit_command, about, "roost env audit train:3 --db all.zip")
    parser.description = ABOUT
    parser.add_argument("reference", nargs="?", metavar="NAME[:VERSION|@LABEL]", help="a registered environment")
    add_database_option(parser)
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="ADVISORY", help="one that does not count, by any of its ids"
    )
    parser.add_argument(
        "--all-generations", action="store_true", help="all environments, with what older runs may refer to"
    )
    parser.add_argument("--platform", metavar="P", help="of the lock: such as linux-64 or osx-arm64")
    add_selector_options(parser, "whose lock to look up (auto)")


def add_database_option(parser: ArgumentParser) -> None:
    about = "a .json, .jsonl, .zip or folder of OSV advisories (the setting audit.database)"
    parser.add_argument("--db", dest="database", metavar="FILE", help=about)


def audit_command(context: Context) -> int:
    """Return 1 if anything is found."""
    options = context.options
    named = [options.reference, options.environment, options.file, options.image]
    if options.reference is not None:
        if any(each is not None for each in named[1:]):
            raise usage_error("NAME and -e, -f or --image each name an environment.", "Give one of them.")
        options.environment = options.reference
    request: Json = {"ignore": options.ignore, **database_field(options.database)}
    if any(each is not None for each in named):
        if options.all_generations:
            raise usage_error("--all-generations is for all environments.", "--generation N names one of this one.")
        request["what"] = build_selector(context)
        request.update({"platform": options.platform} if options.platform else {})
    else:
        request["all_generations"] = options.all_generations
    answer = context.request("POST", "/v1/audits", request)
    context.note_warnings(answer.get("warnings", []))
    for advisory in answer["unused_ignores"]:
        context.note(f"--ignore {advisory} ignores nothing")
    context.print_json(answer) if context.json else context.print_lines(_audit_lines(answer))
    return FOUND_STATUS if answer["findings"] else 0


def database_field(path: str | None) -> Json:
    """Return the field of a request for the file of advisories, by its absolute path."""
    if path is None:
        return {}
    if not path:
        raise usage_error("--db has no name.", "Name a file or folder of OSV advisories.")
    return {"database": os.path.realpath(os.path.join(working_folder(), require_utf8(path, "--db")))}


def _audit_lines(answer: Json) -> Iterator[str]:
    packages: dict[tuple[str, ...], list[Json]] = {}
    for finding in answer["findings"]:
        package = finding["package"]
        key = (package["kind"], package["name"], package["version"], package.get("build", ""))
        packages.setdefault(key, []).append(finding)
    for findings in packages.values():
        yield from finding_lines(findings)
        yield f"  {uses_text(findings[0])}"
        yield ""
    yield from _summary_lines(answer, len(packages))


def finding_lines(findings: list[Json]) -> Iterator[str]:
    """Yield the package, and a line for each of its findings."""
    package = findings[0]["package"]
    yield paint(f"{package['name']} {package['version']} ({package['kind']})", "bold", sys.stdout)
    for finding in findings:
        rating = finding["rating"] or "unrated"
        score = f" {finding['score']:.1f}" if finding["score"] is not None else ""
        shown = paint(rating, _COLOURS[rating], sys.stdout) if rating in _COLOURS else rating
        names = ", ".join(finding["aliases"])
        yield f"  {finding['id']}{f' ({names})' if names else ''}  {shown}{score}  {_fix_text(finding)}"
        if finding["summary"]:
            yield f"    {finding['summary']}"


def _fix_text(finding: Json) -> str:
    if not finding["affected"]:
        return f"can't be decided: {finding['reason']}"
    return f"fixed in {', '.join(finding['fixed'])}" if finding["fixed"] else "no fix is known"


def uses_text(finding: Json) -> str:
    """Return where the package of a finding is used, in one line."""
    uses, package = finding["uses"], finding["package"]
    counts = uses["counts"]
    if not counts["locks"]:
        return "in no environment of this machine yet"
    names = [f"{row['name']}:{row['version']}" for row in uses["environments"]]
    shown = ", ".join(names[:_MOST_USES])
    more = counts["environments"] - len(names[:_MOST_USES])
    parts = [shown + (f" and {more} more" if more > 0 else "")] if shown else []
    parts.append(format_count(counts["current_generations"], "current generation"))
    parts += [format_count(counts[kind], kind[:-1]) for kind in ("images", "runs") if counts[kind]]
    return f"in {', '.join(parts)}: roost env who '{package['name']}=={package['version']}'"


def _summary_lines(answer: Json, affected: int) -> Iterator[str]:
    database = answer["database"]
    advisories = f"{database['advisories']} {'advisory' if database['advisories'] == 1 else 'advisories'}"
    looked = f"{format_count(answer['checked'], 'package')} looked up in {advisories}"
    changed = f", the latest of {database['modified'][:10]}" if database["modified"] else ""
    yield f"{looked} ({format_path(database['path'])}{changed})"
    if answer["unchecked"]:
        names = [f"{each['package']['name']} {each['package']['version']}" for each in answer["unchecked"]]
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        reasons = dict.fromkeys(each["reason"] for each in answer["unchecked"])
        yield f"not looked up: {format_count(len(names), 'package')}: {', '.join(names[:_MOST_NAMES])}{more}"
        yield from (f"  {reason}" for reason in reasons)
    if answer["ignored"]:
        yield f"ignored: {', '.join(dict.fromkeys(each['id'] for each in answer['ignored']))}"
    if answer["findings"]:
        found = format_count(len(answer["findings"]), "finding")
        yield paint(f"{found} in {format_count(affected, 'package')}", "bold", sys.stdout)
    elif answer["checked"]:
        yield "nothing found"
    else:
        yield "nothing was looked up"


# ------------------------------------------------------------------ env who
def request_finding(context: Context) -> Json:
    """Return what the advisory of ``--finding`` is about here, current or not (``wire.AuditResponse``)."""
    options = context.options
    request = {"only": [options.finding], "all_generations": True, "limit": min(options.limit, 1000)}
    answer = context.request("POST", "/v1/audits", {**request, **database_field(options.database)})
    context.note_warnings(answer.get("warnings", []))
    return answer
