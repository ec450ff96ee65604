"""The page about ``roost doctor``, from the table of its checks."""

from __future__ import annotations

from roost.daemon.doctor.examination import CHECKS

HEAD = """# What is wrong with this machine

`roost doctor` looks at the daemon, at what it has stored, and at everything that builds and runs need of this machine
and of the network. It changes nothing. What is wrong comes first, each fault with what to do about it; below the checks
are all settings in force, each with the line or variable that it comes from.

    roost doctor
    roost doctor --json
    roost doctor --repair     # repairs what is stored: a lost or damaged index, modes, left-overs

| state | meaning |
|---|---|
| `error` | it does not work, and somebody relies on it: it is configured, or everything needs it. The status is 1 |
| `warning` | it does not work or soon will not, and nothing may need it here |
| `ok` | it works, or is not there and nothing asks for it |

All checks run beside one another, each with a deadline. One that fails or hangs (a file server, a keyring that waits
for a password) is a result of its own, and the others are there all the same. If the daemon can't be started, that is
the first result. Proxies, certificates, `DOCKER_HOST` and PATH are those of where the command is called.

| name | what is looked at |
|---|---|
| `config` | whether `config.toml` can be read |
"""
TAIL = """| `command` | whether the `roost` on PATH is the one that runs |
| `shell` | your shell, and whether completion is set up in it |

With `--json` there is one document: `checks`, each with `name`, `state`, `message`, `hint` and `subject` (which
registry, channel or host, if there are several of a name), and `settings`, each with `name`, `value` and `origin`. With
`--repair`, `repair` has what was done, and what is lost.
"""


def format_page() -> str:
    """Return the page."""
    return HEAD + "".join(f"| `{check.name}` | {check.looks_at} |\n" for check in CHECKS) + TAIL
