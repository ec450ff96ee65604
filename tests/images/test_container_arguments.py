"""``[container] arguments`` in a real engine: what they do there, and what it says of those that it can't follow."""

from __future__ import annotations

import pytest
from roost_process import Roost


def _definition(roost: Roost, image: str, *arguments: str) -> None:
    text = f'[base]\nimage = "{image}"\n[python]\nuser_managed = true\ninterpreter = "/bin/sh"\n'
    roost.write("roost.toml", f"{text}[container]\narguments = {list(arguments)}\n")
    roost.folder.chmod(0o755)  # for users other than its owner


@pytest.mark.parametrize(
    ("user", "expected"), [("1234:1234", "1234:1234 700"), ("1234", "1234:0 700"), ("nobody", "0:0 1777")]
)
def test_another_user_can_use_its_home(user: str, expected: str, docker_roost: Roost, base_image: str):
    _definition(docker_roost, base_image, f"--user {user}")
    script = 'echo kept > ~/file && cat ~/file && stat -c "%u:%g %a" ~'
    assert docker_roost.ok("run", "--", "sh", "-c", script) == f"kept\n{expected}\n"
