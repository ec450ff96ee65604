"""Wrong command lines: what they are told, in two lines that name what was typed."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.client.cli import foreign, main
from roost.client.cli.foreign import FOREIGN_COMMANDS, advise_command, advise_option
from roost.client.cli.parser import LAUNCH_COMMANDS, MODULES, build_parser, commands_of
from roost.client.cli.reference.topics import list_names

PARSER = build_parser()
COMMANDS = [
    ("pla", "Did you mean `roost plan`?"),
    ("install numpy", "`roost add PKG` adds"),
    ("create -n x python", "`roost init` begins"),
    ("activate x", "`roost shell` starts"),
    ("upgrade", "`roost build --rebuild` chooses"),
    ("ps", "`roost runs list` shows"),
    ("images", "`roost image list` shows"),
    ("clean --all", "`roost cache gc` removes"),
    ("freeze > x", "`roost env export --format requirements` prints"),
    ("version", "`roost --version` prints"),
    ("python install 3.12", "`roost run --python X.Y COMMAND` runs"),
    ("task list", "roost has no tasks"),
    ("search numpy", "`roost add PKG --dry-run`"),
    ("pip install -r requirements.txt", "`roost add --pip PKG` adds"),
    ("pip3 --quiet uninstall x", "`roost remove PKG` removes"),
    ("conda env create -f x.yml", "`roost init` begins"),
    ("conda env list", "`roost env list` the environments"),
    ("mamba run -n x python", "`roost run COMMAND` runs"),
    ("uv pip freeze", "`roost env export --format requirements`"),
    ("uv sync --frozen", "`roost build` makes ready"),
    ("uvx ruff", "`roost run --with PKG"),
    ("docker exec -it x sh", "`roost exec -t docker COMMAND`"),
    ("docker", "See `roost help docker`."),
    ("activat x", "`roost shell` starts"),
    ("env creat", "`roost init` begins"),
    ("poetry frobnicate", "See `roost help uv`."),
    ("train.py --lr 3 -v x", "`roost run train.py --lr 3 -v …` runs it"),
    ("./tool x", "`roost run ./tool x` runs it"),
    ("python -m x", "`roost run python -m x` runs it"),
    ("df", "Did you mean `roost cache df`?"),
    ("veriffy", "Did you mean `roost cache verify`?"),
    ("cache gcc", "Did you mean `roost cache gc`?"),
    ("cache add", "`roost cache --help` lists the commands."),
    ("cache clean", "`roost cache gc` removes"),
    ("env create", "`roost init` begins"),
    ("env ls", "Did you mean `roost env list`?"),
    ("runs stop x", "Did you mean `roost runs cancel`?"),
    ("frobnicate", "`roost --help` lists the commands."),
]
USAGE = [
    ("cache", "`roost cache` needs a command.", "One of df, gc,"),
    ("env", "`roost env` needs a command.", "See `roost env --help`."),
    ("runs tag", "`roost runs tag` needs ID.", "As in `roost runs tag latest"),
    ("runs diff latest", "`roost runs diff` needs B.", "As in `roost runs diff "),
    ("completion", "`roost completion` needs SHELL.", ""),
    ("-v", "Unknown option or argument: -v", "Did you mean `--version`?"),
    ("add", "`roost add` needs PKG.", "As in `roost add "),
    ("plan -f", "`roost plan`: -f needs a value: PATH.", "See `roost plan --help`."),
    ("plan -e", "`roost plan`: -n needs a value: NAME[:VERSION|@LABEL].", ""),
    ("plan --generation x", "`roost plan`: --generation 'x' is not a whole number.", ""),
    ("plan -e a -f b", "`roost plan`: -f: not allowed with argument -e/-n.", ""),
    ("env export x --format pix", "'pix' is no value of --format.", "Did you mean `pixi`? One of azure,"),
    ("completion bsh", "'bsh' is no value of SHELL.", "Did you mean `bash`?"),
    ("run --wiht six x", "Unknown option or argument: --wiht", "Did you mean `--with`?"),
    ("exec --no_project -- python", "--no_project", "Did you mean `--no-project`?"),
    ("plan --sovle", "--sovle", "Did you mean `--solve`?"),
    ("env export --Format=pixi x", "--Format=pixi", "Did you mean `--format`?"),
    ("build --file x.yml", "--file x.yml", "Did you mean `-f`?"),
    ("build --no-cache", "--no-cache", "Did you mean `--rebuild`?"),
    ("run --directory /x python", "--directory", "Did you mean `-C`?"),
    ("plan --zzz", "--zzz", "See `roost plan --help`."),
    ("run --tag best train.py", "--tag", "`roost runs tag latest TAG` tags a run"),
    ("run --no-sync python", "--no-sync", "What is ready is used as it is"),
    ("daemon logs --tail 0", "--tail: expected a number from 1", ""),
    ("which -a python", "-a", "Did you mean `--all`?"),
    ("tree --reverse numpy", "--reverse", "Did you mean `--invert`?"),
    ("tree --outdated", "--outdated", "`roost env outdated` shows"),
]


def refusal(words: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    typed = shlex.split(words)
    assert main.run(typed) == (125 if typed[0] in LAUNCH_COMMANDS else 2)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert len(lines) == 2, printed.err
    assert max(map(len, lines)) < 170
    return lines


@pytest.mark.parametrize(("words", "hint"), COMMANDS)
def test_an_unknown_command_is_named_and_told_roosts_way(words, hint, capsys):
    first, second = refusal(words, capsys)
    family = words.split()[0] if words.split()[0] in commands_of(PARSER) else ""
    assert first.startswith(f"roost: `{f'roost {family}'.strip()}` has no command '")
    assert hint in second


@pytest.mark.parametrize(("words", "message", "hint"), USAGE)
def test_a_wrong_usage_names_what_was_typed(words, message, hint, capsys):
    first, second = refusal(words, capsys)
    assert message in first
    assert hint in second


def test_other_tools_words_are_no_commands_of_roost():
    commands = {command for names in MODULES.values() for command in names}
    assert not commands & {name.split()[1] for name in FOREIGN_COMMANDS if len(name.split()) == 2}
    for name in FOREIGN_COMMANDS:
        _, *family, word = name.split()
        if family:
            assert word not in commands_of(commands_of(PARSER)[family[0]]), name


def list_advice() -> list[str]:
    inner = [advice for verbs in foreign._INNER.values() for advice in verbs]
    return sorted({*FOREIGN_COMMANDS.values(), *inner, *foreign._UNNEEDED.values(), foreign._PYTHON})


@pytest.mark.parametrize("advice", list_advice())
def test_every_command_and_option_of_an_advice_exists(advice):
    for words in re.findall(r"`roost ([^`]+)`", advice):
        parser = PARSER
        for word in words.split():
            if word.startswith("-"):
                assert any(word in action.option_strings for action in parser._actions), words
            elif below := commands_of(parser):
                assert word in below, words
                parser = below[word]


def test_every_option_and_topic_of_an_advice_exists():
    def options(parser):
        yield from (name for action in parser._actions for name in action.option_strings)
        for each in commands_of(parser).values():
            yield from options(each)

    assert foreign._OPTIONS.keys() <= set(options(PARSER))
    assert set(foreign._TOPICS.values()) <= set(list_names())


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=3), st.sampled_from(["roost", "roost cache"]))
def test_any_words_get_one_hint(words, parent):
    assert "roost" in advise_command(words, parent, ["df", "gc"], {"df": "roost cache df"})
    assert advise_option(words[0], ["--with", "-f"]) in (None, "--with", "-f")


def test_nothing_typed_acts_on_the_terminal(capsys):
    main.run(["\x1b[31mx.py"])
    main.run(["plan", "--\x1b[31m"])
    main.run(["plan", "--generation", "\x1b[31m"])
    assert "\x1b" not in capsys.readouterr().err
