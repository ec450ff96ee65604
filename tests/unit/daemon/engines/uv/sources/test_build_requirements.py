"""What uv asks for before it builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from roost.daemon.background.code import KnownCode
from roost.daemon.engines.uv.errors import WheelBuildError
from roost.daemon.engines.uv.sources.build_requirements import BuildRequirements, find_build_requirements
from roost.daemon.engines.uv.wheels import WheelStore
from roost.model.locks.lock import Wheel

REFUSED = """error: Failed to build `/x`
  cause: Failed to resolve requirements from `build-system.requires`
  cause: No solution found when resolving: `a>1`, `b>0, <2 ; python_full_version >= '3.1'`
  cause: Hash-checking is required, but no trusted hash was provided for: `a`
"""


def test_the_requirements_are_read_from_the_refusal() -> None:
    assert find_build_requirements(REFUSED) == ("a>1", "b>0, <2 ; python_full_version >= '3.1'")
    assert find_build_requirements(REFUSED.replace("Hash-checking is required", "Because")) == ()
    assert find_build_requirements("error: No solution found when resolving dependencies:\n") == ()


async def test_what_was_locked_is_pinned_by_its_digest(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    async def lock(lines: object) -> list[Wheel]:
        asked.append(list(lines))  # type: ignore[call-overload]
        return [Wheel(name="a", version=str(len(asked)) if len(asked) > 2 else "1", sha256="a" * 64)]

    requirements = BuildRequirements(lock, WheelStore(str(tmp_path)), str(tmp_path), KnownCode())
    assert "--build-constraints" not in requirements.options("--require-hashes")
    assert await requirements.add_needed(REFUSED)
    assert not await requirements.add_needed(REFUSED), "the same again leads no further"
    options = requirements.options("--require-hashes")
    text = Path(options[options.index("--build-constraints") + 1]).read_text()
    assert text == f"a==1 --hash=sha256:{'a' * 64}\n"
    assert await requirements.add_needed(REFUSED.replace("`a>1`", "`c`"))
    assert asked[1][-1] == "a==1", "later steps keep what earlier ones have got"
    with pytest.raises(WheelBuildError, match="needs a 1 and 3"):
        await requirements.add_needed(REFUSED.replace("`a>1`", "`d`"))
