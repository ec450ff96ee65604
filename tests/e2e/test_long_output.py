"""A detached run that prints without end fills no disk."""

from __future__ import annotations

import json
import sys

from tests.support.roost_process import Roost

SCRIPT = "for number in range(400_000):\n    print(f'line {number:07}')\n"


def test_the_output_of_a_detached_run_is_bounded(roost: Roost) -> None:
    roost.config.write_text(roost.config.read_text() + "[runs]\noutput_bytes = 1_000_000\n")
    roost.write("roost.toml", f'name = "own"\n[python]\nuser_managed = true\ninterpreter = "{sys.executable}"\n')
    roost.write("talk.py", SCRIPT)
    run = roost.ok("run", "--detach", "talk.py").split()[-1]
    roost.ok("runs", "logs", "-f", run)  # to its end
    folder = roost.root / "runs" / run
    text = roost.ok("runs", "logs", run)
    assert text.startswith("line 0000000\n")
    assert text.endswith("line 0399999\n")
    assert "bytes of output are left out here: runs.output_bytes]" in text
    assert "\0" not in text
    assert len(text) <= 1_001_000
    cut = json.loads((folder / "output.cut").read_text())
    assert cut["end"] - cut["start"] > 4_000_000
    assert roost.ok("runs", "logs", "-f", run) == text
