"""Every benchmark can be started: its imports resolve, as a module from the repository's folder."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.bench import bench_index, bench_workspace

REPOSITORY = Path(__file__).parents[2]
BENCHES = sorted(path.stem for path in (REPOSITORY / "tests/bench").glob("bench_*.py"))


def test_every_benchmark_can_be_imported():
    code = "\n".join(f"import tests.bench.{name}" for name in BENCHES)
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert len(BENCHES) > 5
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_benchmark_that_starts_itself_again_does_so_as_a_module():
    sources = {name: (REPOSITORY / f"tests/bench/{name}.py").read_text() for name in BENCHES}
    assert [
        name for name, text in sources.items() if "__file__" in text or 'if __name__ == "__main__"' not in text
    ] == []


def test_a_failed_benchmark_ends_with_a_status():
    code = "from tests.bench.measuring import ending_process\nwith ending_process():\n    raise OSError('x')"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "OSError: x" in done.stderr


def test_what_benchmarks_write_by_sql_fits_the_index(tmp_path: Path):
    async def fill() -> None:
        index = await bench_index.filled(str(tmp_path), 3)
        assert len(await bench_index.plans(index, 3, 2)) == 2
        await index.close()
        await bench_workspace.fill(str(tmp_path / "root"), 2, 3)

    asyncio.run(fill())
