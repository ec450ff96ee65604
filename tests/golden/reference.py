"""Write the pages that are made of tables in the code: ``python -m tests.golden.reference``.

``test_reference`` fails if one of them is not what this would write.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.golden import doctor_page, exit_status_page, formats_page, roost_toml_page, tool_tables

from roost.daemon.config.docs import render_markdown

REPOSITORY = Path(__file__).parents[2]
PAGES: dict[str, Callable[[], str]] = {
    "docs/roost-toml.md": roost_toml_page.format_page,
    "docs/formats.md": formats_page.format_page,
    "docs/doctor.md": doctor_page.format_page,
    "docs/exit-status.md": exit_status_page.format_page,
    "docs/tool-tables.md": tool_tables.format_tables,
    "daemon/CONFIG.md": render_markdown,
}


def main() -> None:
    """Write every page whose text is not current."""
    for name, format_page in PAGES.items():
        path, text = REPOSITORY / name, format_page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")


if __name__ == "__main__":
    main()
