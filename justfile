# What a developer does often; `just` lists it. Everything here is a plain command too (see CONTRIBUTING.md).

default:
    @just --list

# Make .venv with roost as an editable install and everything that the tests need.
setup:
    python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]'

# Every tier whose parts are installed.
test *tiers:
    .venv/bin/python -m tests {{tiers}}

# Checks, and tests without a daemon (a minute and a half).
quick:
    .venv/bin/python -m tests quick

# Checks alone.
lint:
    .venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports && .venv/bin/codespell

# One benchmark, or all with their figures: `just bench exec --pairs 40`.
bench name *options:
    .venv/bin/python -m tests.bench.bench_{{name}} {{options}}

# Minutes of fuzzing and killing, then every benchmark.
soak minutes="30":
    .venv/bin/python -m tests.soak {{minutes}}

# The figures of the layout: modules per package, the largest, cycles, doors, names that exist twice.
house:
    .venv/bin/python -m tests.house
