"""``runs note`` and ``runs tag``: texts of people beside a run."""

from __future__ import annotations

from roost.client.cli.context import Context
from roost.client.cli.paging import record_route
from roost.client.cli.selector import require_utf8
from roost.client.errors import usage_error


def note_command(context: Context) -> int:
    options = context.options
    if options.text is not None and options.remove:
        raise usage_error("A note can't be written and removed at once.", "Leave out TEXT or --remove.")
    if options.text == "":
        raise usage_error("The note is empty.", "Write a text, or remove the present one by --remove.")
    if options.text is None and not options.remove:
        run = context.request("GET", record_route("run", options.id))
    else:
        note = "" if options.remove else require_utf8(options.text, "The note")
        run = context.request("POST", record_route("run", options.id, "annotations"), {"note": note})
    if context.json:
        context.print_json(run)
    elif options.text is None and not options.remove:
        context.print_text(run["note"]) if run["note"] else context.note(f"run {run['id']} has no note")
    else:
        context.note(f"run {run['id']} has {'the note now' if run['note'] else 'no note now'}")
    return 0


def tag_command(context: Context) -> int:
    options = context.options
    both = sorted(set(options.tags) & set(options.remove))
    if both:
        raise usage_error(f"{both[0]!r} can't be added and removed at once.", "Name it once.")
    if not options.tags and not options.remove:
        run = context.request("GET", record_route("run", options.id))
    else:
        body = {
            "add_tags": [require_utf8(tag, "A tag") for tag in options.tags],
            "remove_tags": [require_utf8(tag, "A tag") for tag in options.remove],
        }
        run = context.request("POST", record_route("run", options.id, "annotations"), body)
    if context.json:
        context.print_json(run)
    elif options.tags or options.remove:
        context.note(f"tags of run {run['id']}: {' '.join(run['tags']) or 'none'}")
    else:
        context.print_lines(run["tags"])
    return 0
