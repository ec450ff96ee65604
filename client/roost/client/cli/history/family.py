"""The parser of ``runs``."""

from __future__ import annotations

import argparse

from roost.client.cli.execution.reruns import rerun_command
from roost.client.cli.history.annotations import note_command, tag_command
from roost.client.cli.history.comparison import diff_command
from roost.client.cli.history.listing import list_command, show_command
from roost.client.cli.history.waiting import cancel_command, logs_command, wait_command
from roost.client.cli.paging import add_paging_options
from roost.client.cli.parser import Subparsers, add_command, add_family

EXAMPLE = "r20261123-073107-837df4"
ID_HELP = "the id, the beginning of one only, or `latest`"
WAIT_ABOUT = """Wait until runs have ended, and exit as they did: with the status of the first one, in the order given,
that did not end with 0. Ctrl-C ends the wait and no run."""


def add(subparsers: Subparsers) -> None:
    """Add the family ``runs``."""
    family = add_family(subparsers, "runs", "The history of runs.", "roost runs list")
    listing = add_command(
        family, "list", list_command, "List the latest runs.", "roost runs list --env train --state failed --since 3d"
    )
    _add_filters(listing)
    add_paging_options(listing, "run")
    show = add_command(family, "show", show_command, "Show a run.", "roost runs show latest --json")
    logs = add_command(
        family, "logs", logs_command, "Show the output that is stored of a run.", "roost runs logs -f " + EXAMPLE
    )
    logs.description = "Show the output that is stored of a run: of one with --detach or --keep-output."
    logs.add_argument("-f", "--follow", action="store_true", help="continue until the run ends")
    logs.add_argument("--tail", type=_parse_count, metavar="N", help="only the last N lines so far")
    wait = add_command(family, "wait", wait_command, "Wait for the end of runs.", "roost runs wait " + EXAMPLE)
    wait.description = WAIT_ABOUT
    wait.add_argument("ids", nargs="+", metavar="ID", help=ID_HELP)
    cancel = add_command(family, "cancel", cancel_command, "Stop a run.", "roost runs cancel " + EXAMPLE)
    about = "Run a run again, in its exact generation."
    rerun = add_command(family, "rerun", rerun_command, about, "roost runs rerun " + EXAMPLE)
    rerun.add_argument("--detach", action="store_true", help="print the new run's id and do not wait")
    diff = add_command(
        family, "diff", diff_command, "Compare two runs.", "roost runs diff r20261123-0731 r20261123-0802"
    )
    diff.description = "Compare two runs: command, code, settings, definition and packages."
    diff.add_argument("before", metavar="A", help=ID_HELP)
    diff.add_argument("after", metavar="B", help=ID_HELP)
    diff.add_argument("--exit-code", action="store_true", help="exit with status 1 if something differs")
    note = add_command(
        family, "note", note_command, "Write a note beside a run.", 'roost runs note latest "with the new data"'
    )
    tag = add_command(
        family, "tag", tag_command, "Tag a run; without tags, print those it has.", "roost runs tag latest best lr=0.1"
    )
    for parser in (show, logs, cancel, rerun, note, tag):
        parser.add_argument("id", metavar="ID", help=ID_HELP)
    note.add_argument("text", nargs="?", metavar="TEXT", help="the note; without it, print the present one")
    note.add_argument("--remove", action="store_true", help="remove the note")
    tag.add_argument("tags", nargs="*", metavar="TAG", help="to add")
    tag.add_argument("--remove", action="append", default=[], metavar="TAG", help="a tag to remove")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("FILTERS", "only the runs to which all of these apply")
    group.add_argument("--env", metavar="NAME[:VERSION]", help="in this environment")
    group.add_argument("--experiment", metavar="NAME", help="of this experiment")
    group.add_argument("--state", action="append", metavar="STATE", help="in this state; repeated: in one of these")
    group.add_argument("--since", metavar="WHEN", help="recorded in the last 3d, 2h, 30m, or since a day or time (UTC)")
    group.add_argument("--command", dest="words", metavar="TEXT", help="with this text in the command")
    group.add_argument("-t", "--target", metavar="TARGET", help="on this target")
    group.add_argument("--cwd", metavar="PATH", help="started in this folder or below it")
    group.add_argument("--tag", action="append", metavar="TAG", help="with this tag; repeated: with all of these")


def _parse_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of lines")
    return int(text)
