"""``env``: the parser of the workspace's environments."""

from __future__ import annotations

from roost.client.cli.context import Context
from roost.client.cli.environments import audit, comparison, exchange, registration, views, where_used
from roost.client.cli.environments.references import REFERENCE
from roost.client.cli.paging import row_limit
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.cli.selector import add_selector_options


def add(subparsers: Subparsers) -> None:
    """Add the family ``env``."""
    family = add_family(subparsers, "env", "The workspace's environments.", "roost env list")
    about = "Register a definition as the next version of an environment; an unchanged one adds none."
    example = "roost env register -f environment.yml"
    register = add_command(family, "register", registration.register_command, about, example)
    add_selector_options(register, definition_only=True)
    register.add_argument("--name", metavar="NAME", help="default: the file's name for it, or the folder's name")
    register.add_argument("--label", action="append", default=[], metavar="LABEL", help="put a label on it")
    about = "List the latest version of each environment."
    listing = add_command(family, "list", views.list_command, about, "roost env list --json")
    listing.add_argument("--all", action="store_true", help="also those that are archived")
    listing.add_argument("--limit", type=row_limit(), metavar="N", help="at most N rows (all)")
    listing.add_argument("--curated", action="store_true", help="also curated ones: `roost curated list`")
    about = "Show a version: its definition, settings and generations."
    show = add_command(family, "show", views.show_command, about, "roost env show train:3 --json")
    about = "List the versions of an environment, and what each changed."
    versions = add_command(family, "versions", views.versions_command, about, "roost env versions train")
    versions.add_argument("--all", action="store_true", help="also those that are archived")
    versions.add_argument("reference", metavar="NAME")
    about = "Set a label on a version, or move it there."
    label = add_command(family, "label", registration.label_command, about, "roost env label train:3 production")
    about = "Copy a version to another name."
    clone = add_command(family, "clone", registration.clone_command, about, "roost env clone Roost-Minimal mine")
    about = "Change a version in your editor, and register the result as the next one."
    edit = add_command(family, "edit", _edit_command, about, "roost env edit train")
    about = "Hide an environment or a version from lists."
    archive = add_command(family, "archive", registration.archive_command, about, "roost env archive train:3")
    about = "Show an archived one in lists again."
    restore = add_command(family, "restore", registration.restore_command, about, "roost env restore train:3")
    about = "Remove an environment or a version; refused while runs or labels refer to it."
    remove = add_command(family, "remove", registration.remove_command, about, "roost env remove train:3")
    remove.add_argument(
        "--force", action="store_true", help="although runs or labels refer to it; runs stay repeatable"
    )
    for parser in (show, label, clone, edit, archive, restore, remove):
        parser.add_argument("reference", metavar=REFERENCE)
    label.add_argument("label", metavar="LABEL")
    label.add_argument("--remove", action="store_true", help="remove the label")
    clone.add_argument("new", metavar="NEW")
    edit.add_argument("--name", metavar="NAME", help="register the result under another name")
    where_used.add(family)
    audit.add(family)
    about = "Store a wheel, and print the line for requirements, which works even after the file is deleted."
    example = "roost env add-wheel dist/mine-1.0-py3-none-any.whl"
    wheel = add_command(family, "add-wheel", registration.add_wheel_command, about, example)
    wheel.add_argument("wheel", metavar="PATH", help="the wheel's file")
    comparison.add(family)
    exchange.add(family)


def _edit_command(context: Context) -> int:
    from roost.client.cli.environments import editor  # imports subprocess, which no other command of the family needs

    return editor.edit_command(context)
