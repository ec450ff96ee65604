"""``which``: where an environment is, and which file a command in it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_selector_options, build_selector, replace_undecodable
from roost.client.errors import ClientError, client_error
from roost.client.launch.activate import activated_environment

Json = dict[str, Any]
NOT_FOUND_STATUS = 7


def add(subparsers: Subparsers) -> None:
    """Add ``which``."""
    about = "Print where a command of the environment is, by default its Python; builds nothing."
    parser = add_command(subparsers, "which", which_command, about, "roost which python")
    parser.add_argument("program", nargs="?", metavar="CMD")
    parser.add_argument(
        "--all", action="store_true", help="every file of that name on PATH, the one that is used first"
    )
    add_selector_options(parser, "where it would run: local or docker (auto)")


def which_command(context: Context) -> int:
    """Raises: ClientError with exit status 7 if the environment is not built, or has no such command."""
    options = context.options
    answer = context.request("POST", "/v1/which", {"what": build_selector(context), "target": options.target})
    context.note_source(answer["source"])
    context.note_warnings(answer["warnings"])
    found = _look_in_prefix(context, answer) if answer["launch"] else _look_in_image(context, answer)
    if context.json:
        context.print_json(found)
    else:
        context.print_lines(found["paths"] if options.all else [found["path"]])
    if found["from"] == "host":
        context.note(f"{options.program} is this machine's own, from PATH: the environment has none")
    return 0


def _look_in_prefix(context: Context, answer: Json) -> Json:
    launch, program = answer["launch"], context.options.program
    environ = activated_environment(launch, os.environ)
    prefix = launch["prefix"]
    # An interpreter of its user is not in a prefix of roost's: what is in its folder is the environment's.
    inside = os.path.join(prefix, "") if launch["lease"] else os.path.join(os.path.dirname(launch["python"]), "")
    if program is None or program in ("python", "python3"):
        first = [launch["python"]] if os.path.exists(launch["python"]) else []
        paths = list(dict.fromkeys([*first, *find_programs(program or "python", environ)]))
    else:
        paths = list(find_programs(program, environ))
    if not paths:
        raise _absent_error(program or "python", inside)
    return {
        "path": paths[0],
        "prefix": prefix,
        "python": launch["python"],
        "activation": _list_changes(launch, environ),
        "from": "environment" if paths[0].startswith(inside) else "host",
        "paths": paths,
        "target": answer["target"],
        "image": None,
        "definition_digest": launch["definition_digest"],
        "lock_digest": launch["lock_digest"],
        "generation": launch["generation"],
    }


def _look_in_image(context: Context, answer: Json) -> Json:
    program, interpreter = context.options.program, answer["interpreter"]
    asking = f"`roost run -t {answer['target']} -- sh -c 'command -v {program or 'python'}'` asks the image."
    if program not in (None, "python", "python3"):
        raise client_error(
            "program-unknown",
            f"Where {program} is in the image {answer['image']} is not known without a container",
            asking,
            NOT_FOUND_STATUS,
        )
    if interpreter is None:
        raise client_error(
            "program-unknown", f"No Python is known in the image {answer['image']}", asking, NOT_FOUND_STATUS
        )
    return {
        "path": interpreter,
        "prefix": answer["environment"],
        "python": interpreter,
        "activation": {},
        "from": "image",
        "paths": [interpreter],
        "target": answer["target"],
        "image": answer["image"],
    }


def find_programs(name: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the executable files that ``name`` stands for, the one that is started first, each path once."""
    if "/" in name:
        path = os.path.abspath(name)
        if _is_program(path):
            yield path
        return
    for folder in dict.fromkeys(environ.get("PATH", os.defpath).split(":")):
        path = os.path.join(folder or os.curdir, name)
        if name and _is_program(path):
            yield os.path.abspath(path)


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _list_changes(launch: Json, environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables that differ in the environment, ``None`` for those that are unset."""
    names = [change["name"] for change in launch["changes"]] + list(launch["variables"])
    changed = {name: environ.get(name) for name in ["PATH", *launch["hook_variables"], *names]}
    different = {name: value for name, value in changed.items() if value != os.environ.get(name)}
    return {name: replace_undecodable(value) if value is not None else None for name, value in different.items()}


def _absent_error(program: str, inside: str) -> ClientError:
    """Return the error that there is no such program, with similar ones of the environment."""
    from difflib import get_close_matches  # only after a mistake

    folder = os.path.join(inside, "bin") if os.path.isdir(os.path.join(inside, "bin")) else inside
    try:
        names = sorted(name for name in os.listdir(folder) if _is_program(os.path.join(folder, name)))
    except OSError:
        names = []
    near = get_close_matches(program, names, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`roost add` adds the package that has it."
    return client_error("program-absent", f"{program} is neither in {folder} nor on PATH", hint, NOT_FOUND_STATUS)
