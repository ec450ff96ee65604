"""What other tools call commands and options, and how the same is done here. Pure; only asked after a mistake.

Separate from ``parser``, which every command imports.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

_ADD = "`roost add PKG` adds packages to the environment file, and `roost run` has them."
_REMOVE = "`roost remove PKG` removes packages from the environment file."
_INIT = "`roost init` begins an environment file; `roost build` makes ready what it says."
_BUILD = "`roost build` makes ready what the environment file says; `roost run` does so by itself."
_SHELL = "`roost shell` starts a shell in the environment; `roost run` needs no activation."
_LEAVE = "`exit` leaves a `roost shell`; `roost run` and `roost exec` change nothing in this shell."
_NEWER = "`roost build --rebuild` chooses new versions; `roost env outdated` shows what would change."
_LIST = "`roost list` shows what is in the environment, `roost env list` the environments."
_FREEZE = "`roost env export --format requirements` prints what is installed; `roost lock --write` writes `roost.lock`."
_LOCK = "`roost lock --write` writes the lock file beside the environment file."
_RUN = "`roost run COMMAND` runs a command in the environment."
_RUNS = "`roost runs list` shows runs, `roost builds list` builds."
_LOGS = "`roost runs logs ID` prints the output of a run, `roost builds logs ID` that of a build."
_END = "`roost runs cancel ID` ends a run, `roost builds cancel ID` a build."
_IMAGES = "`roost image list` shows images of environments."
_CLEAN = "`roost cache gc` removes what is not needed, `roost cache df` shows what uses the disk."
_INFO = "`roost env show NAME` shows an environment, `roost doctor` this machine."
_SEARCH = "roost searches no index; `roost add PKG --dry-run` shows what a package would bring."
_CONFIG = "`roost doctor` prints the settings in force and where each is from."
_EXPORT = "`roost env export NAME --format F` and `roost lock -o FILE` write other tools' files."
_EXPERIMENT = "`roost run --detach COMMAND` begins a run that outlives this shell."
_CHECK = "`roost cache verify` compares environments with what was built."
_TOOL = "`roost run --with PKG COMMAND` runs a tool that no file names."
_TASK = "roost has no tasks: `roost run COMMAND` runs a command, also that of a task runner in the environment."
_PYTHON = (
    "`roost run --python X.Y COMMAND` runs with another Python; `python=` or `requires-python` in the file chooses it."
)
_CHANNEL = "`channels:` in the environment file names channels; the config has defaults (`roost doctor`)."
_SELF = "roost is updated by what installed it: pip, uv or pipx."
_STOP = "`roost daemon stop` stops the daemon, which the next command starts again."
_LOGIN = "Docker's own logins are used: `docker login HOST`; `roost registry test` tries them."
_VERSION = "`roost --version` prints the version of roost, `roost env versions NAME` those of an environment."
_COPY = "`roost env clone NAME NEW` copies a version of an environment to another name."

_WORDS = {
    _ADD: "install i get require inject",
    _REMOVE: "uninstall rm-package",
    _INIT: "create new venv virtualenv begin setup",
    _BUILD: "sync restore prepare ensure compile apply",
    _SHELL: "activate source use enter attach workon",
    _LEAVE: "deactivate exit leave",
    _NEWER: "update upgrade outdated bump refresh",
    _LIST: "ls envs environments packages dependencies",
    _FREEZE: "freeze",
    _LOCK: "relock",
    _RUN: "start launch call execute x do",
    _RUNS: "ps history jobs job top experiments",
    _LOGS: "log logs output tail",
    _END: "kill cancel abort terminate",
    _IMAGES: "images img",
    _CLEAN: "clean prune clear gc tidy system",
    _INFO: "info show inspect status describe config-info",
    _VERSION: "version versions",
    _SEARCH: "search find query",
    _CONFIG: "config settings configure",
    _EXPORT: "export dump",
    _EXPERIMENT: "submit background detach nohup",
    _CHECK: "check verify audit-files",
    _TOOL: "tool tools uvx pipx",
    _TASK: "task tasks script scripts compose",
    _CHANNEL: "channel channels",
    _SELF: "self self-update selfupdate",
    _STOP: "stop restart down shutdown",
    _LOGIN: "login logout",
    _COPY: "copy cp duplicate",
    "`roost env import FILE` takes an environment of another tool into the workspace.": "import",
    "`roost image push` and `roost image pull` move images of environments.": "push pull",
    "`roost env label NAME:VERSION LABEL` names a version of an environment.": "tag label",
    "`roost env remove NAME` removes an environment, `roost remove PKG` a package from the file.": "rm delete del",
    "`roost build -t docker` makes an image of the environment.": "image-build docker-build containerize",
}
_INNER = {
    "pip": {
        "`roost add --pip PKG` adds packages of the index to the environment file.": "install",
        _REMOVE: "uninstall",
        _FREEZE: "freeze",
        _LOCK: "lock",
        _LIST: "list show inspect",
        _CHECK: "check hash",
        _CLEAN: "cache",
        _SEARCH: "search index",
        _CONFIG: "config debug",
        _BUILD: "download wheel",
    },
    "conda": {
        "`roost add --conda PKG` adds packages of the channels to the environment file.": "install",
        _REMOVE: "remove uninstall",
        _INIT: "create init",
        _NEWER: "update upgrade",
        _SHELL: "activate shell",
        _LEAVE: "deactivate",
        _LIST: "list env",
        _RUN: "run",
        _CLEAN: "clean",
        _INFO: "info doctor",
        _SEARCH: "search repoquery",
        _CONFIG: "config",
        _COPY: "clone rename",
        _EXPORT: "export",
        _CHANNEL: "channels",
        _LOCK: "lock",
    },
    "uv": {
        "`roost add --pip PKG` adds packages of the index to the environment file.": "add",
        _REMOVE: "remove",
        _INIT: "init venv",
        _BUILD: "sync build",
        _RUN: "run",
        _TOOL: "tool x",
        _LOCK: "lock",
        _LIST: "tree",
        _PYTHON: "python",
        _EXPORT: "export",
        _CLEAN: "cache",
        _SELF: "self",
    },
    "docker": {
        "`roost run -t docker COMMAND` runs a command in a container of the environment's image.": "run create start",
        "`roost exec -t docker COMMAND` runs a command in a new container, unrecorded.": "exec attach",
        "`roost build -t docker` makes an image of the environment.": "build buildx",
        _IMAGES: "images image inspect",
        "`roost image push` and `roost image pull` move images of environments.": "push pull",
        _RUNS: "ps container",
        _LOGS: "logs",
        _END: "stop kill",
        _CLEAN: "rm rmi prune system",
        _LOGIN: "login logout",
    },
}
_SAME_TOOL = {
    "pip3": "pip",
    "mamba": "conda",
    "micromamba": "conda",
    "podman": "docker",
    "poetry": "uv",
    "pdm": "uv",
    "pixi": "uv",
    "hatch": "uv",
    "pipenv": "pip",
    "rye": "uv",
}
"""Tools whose commands are called as those of another one."""
_PYTHON_VERBS = frozenset(("install", "list", "find", "pin", "uninstall", "upgrade"))
"""What follows ``uv python``, and is no script."""
_TOPICS = {"pip": "pip", "conda": "conda", "uv": "uv", "docker": "docker", "pixi": "pixi"}
"""Pages of ``roost help``."""
FOREIGN_COMMANDS: Mapping[str, str] = {
    **{f"roost {word}": advice for advice, words in _WORDS.items() for word in words.split()},
    **{f"roost env {word}": _INIT for word in ("create", "new", "init")},
    **{f"roost env {word}": _SHELL for word in ("activate", "use", "shell")},
    **{f"roost env {word}": _NEWER for word in ("update", "upgrade")},
    "roost env deactivate": _LEAVE,
    "roost env build": _BUILD,
    "roost env add": "`roost add PKG` edits the environment file, `roost env register` registers it as a version.",
    "roost env rename": _COPY,
    "roost env run": "`roost run -e NAME COMMAND` runs a command in a registered environment.",
    "roost env lock": _LOCK,
    "roost image build": "`roost build -t docker` makes an image of the environment.",
    "roost image remove": "`roost cache gc` removes images that are not needed.",
    "roost image run": "`roost run --image REF COMMAND` runs a command in an image.",
    **{f"roost cache {word}": _CLEAN for word in ("clean", "clear", "prune", "remove", "rm", "size", "dir", "info")},
    "roost daemon restart": _STOP,
    **{f"roost registry {word}": _LOGIN for word in ("login", "logout")},
    "roost runs start": _RUN,
    "roost builds start": _BUILD,
}
"""What other tools call a command, and how the same is done here."""
_SYNONYMS = {
    "list": "ls all ps",
    "show": "info inspect describe get status view",
    "remove": "rm delete del uninstall",
    "cancel": "stop kill abort",
    "logs": "log output tail",
    "add": "create new",
    "start": "up begin",
    "stop": "down end shutdown",
}
"""Other words for commands of a family."""
_OPTIONS = {
    "-f": "--file --path --manifest-path --requirements --requirement -r",
    "-e": "--env --environment --name -p --prefix",
    "-t": "--target",
    "-C": "--directory --dir --cwd --workdir --working-dir --project --chdir -w",
    "-q": "--silent -s",
    "--rebuild": "--no-cache --refresh --upgrade --force-reinstall --pull -U",
    "--locked": "--frozen --no-update",
    "--with": "--install --package",
    "--python": "--python-version --py",
    "--var": "--env-var --variable -v",
    "--detach": "-d --background --bg",
    "--group": "--groups --dev --only-group",
    "--extra": "--extras --all-extras",
    "--ignore-image": "--no-docker",
    "--dry-run": "-n --check",
    "--image": "--container --docker-image",
    "--no-project": "--no-install-project --no-root",
    "--tail": "-n --lines",
    "--version": "-v",
    "--all": "-a",
    "--invert": "-i --reverse --reverse-deps --reversed",
    "--depth": "-d -L --max-depth --level",
    "--follow": "-F",
    "--before": "--until",
}
_UNNEEDED = {
    "--no-sync --no-build --no-install --skip-lock": "What is ready is used as it is; a solve follows a change only.",
    "-i -t -it -ti --tty --interactive --rm -T": "Input and terminal reach the command anyway; containers are removed.",
    "-y --yes --assume-yes --force --non-interactive": "roost asks nothing.",
    "--outdated -o": "`roost env outdated` shows what a new solve would change.",
    "--tag --note --label": "`roost runs tag latest TAG` tags a run, `roost runs note latest TEXT` keeps a note.",
    "-c --channel": "`roost add CHANNEL::PKG` takes a package from a channel; `channels:` in the file names them.",
    "-v -vv -vvv --verbose --debug": "`roost builds logs ID` prints all of a build, `roost daemon logs` the log.",
}
"""What there is no option for, and why, or how the same is done."""
"""Options of other tools, by roost's."""


def advise_command(words: Sequence[str], parent: str, commands: Sequence[str], others: Mapping[str, str]) -> str:
    """Return what to do instead of ``words``, the first of which is no command of ``parent`` (``roost cache``).

    ``commands``: those of ``parent``; ``others``: the full names of commands of other families, by their last word.
    """
    word = words[0]
    if parent == "roost" and (inner := _advise_tool(words)):
        return inner
    if advice := FOREIGN_COMMANDS.get(f"{parent} {word.lower()}"):
        return advice
    if parent == "roost" and (word.endswith(".py") or "/" in word or word.startswith("python")):
        return f"`roost run {quote_words(words)}` runs it in its environment."
    help_hint = f"`{parent} --help` lists the commands."
    meant = next((own for own, same in _SYNONYMS.items() if own in commands and word.lower() in same.split()), None)
    others_words = {key.removeprefix(f"{parent} "): advice for key, advice in FOREIGN_COMMANDS.items()}
    close = [] if meant else get_close_matches(word.lower(), [*commands, *others_words], n=1, cutoff=0.8)
    if close and close[0] not in commands and close[0] not in others:  # another tool's command, misspelt
        return others_words[close[0]]
    near = [meant] if meant else get_close_matches(word.lower(), commands, n=1)
    if near:
        return f"Did you mean `{parent} {near[0]}`? {help_hint}"
    far = others.get(word.lower()) or next(iter(get_close_matches(word.lower(), list(others), n=1, cutoff=0.8)), None)
    if far:
        return f"Did you mean `{others.get(far, far)}`? {help_hint}"
    return help_hint


def _advise_tool(words: Sequence[str]) -> str | None:
    """Return what to do instead of another tool's command line, ``pip install numpy``; ``None`` if it is of none."""
    typed = words[0].lower()
    tool = _SAME_TOOL.get(typed, typed)
    verbs = [word.lower() for word in words[1:] if not word.startswith("-")]
    if typed == "python" and verbs[:1] and verbs[0] in _PYTHON_VERBS:
        return _PYTHON
    if tool not in _INNER:
        return None
    if tool == "uv" and verbs[:1] == ["pip"]:
        tool, verbs = "pip", verbs[1:]
    if tool == "conda" and verbs[:1] == ["env"]:
        verbs = verbs[1:] if verbs[1:] and verbs[1] != "list" else ["list"]
    by_verb = {verb: advice for advice, names in _INNER[tool].items() for verb in names.split()}
    found = next((by_verb[verb] for verb in verbs[:1] if verb in by_verb), "roost does it in its own way.")
    return f"{found} See `roost help {_TOPICS.get(typed, _TOPICS[tool])}`."


def advise_option(word: str, known: Sequence[str]) -> str | None:
    """Return the one of the ``known`` options that ``word`` may be meant to be."""
    name = word.partition("=")[0]
    own = next((own for own, same in _OPTIONS.items() if own in known and name in same.split()), None)
    if own is not None or not name.startswith("--"):
        return own
    long = [option[2:] for option in known if option.startswith("--")]  # the dashes alone would make all of them alike
    near = get_close_matches(name[2:].lower().replace("_", "-"), long, n=1)
    return f"--{near[0]}" if near else None


def explain_option(word: str) -> str | None:
    """Return how that is done here which another tool has the option ``word`` for, or why there is none."""
    name = word.partition("=")[0]
    return next((advice for words, advice in _UNNEEDED.items() if name in words.split()), None)


def quote_words(words: Sequence[str]) -> str:
    """Return words as they are typed in a shell, the first few of many."""
    return shlex.join(words[:4]) + (" …" if len(words) > 4 else "")
