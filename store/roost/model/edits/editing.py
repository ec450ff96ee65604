"""A file's text while it is changed: each step is read again and compared before the next one."""

from __future__ import annotations

from collections.abc import Sequence

from roost.model.documents.toml_text import TomlText
from roost.model.edits.change import EditRefusedError
from roost.model.edits.formats import PackageList
from roost.model.edits.item_lists import EditableList
from roost.model.edits.scripts import BlockPlaces, insert_block, split_script
from roost.model.edits.source_text import SourceText, Splice, line_number
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.pyproject import PYPROJECT_TABLES, check_script_block, find_script_block


class EditedText:
    """One state of a file. ``content`` is the text with the lists: of a script, that of its metadata."""

    def __init__(self, data: bytes, format: str, path: str) -> None:
        """Raises: EditRefusedError if the file has another encoding than UTF-8; InvalidDefinitionError if a script has
        several blocks of metadata."""
        self.data, self.format, self.path = data, format, path
        self._source = SourceText(data)
        self._block = find_script_block(self._source.text, path) if format == "pep723" else None
        self.content = self._block.content if self._block else "" if format == "pep723" else self._source.text

    @property
    def is_begun(self) -> bool:
        """Whether the text can have lists: of a script, that it has metadata."""
        return self.format != "pep723" or self._block is not None

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing but comments."""
        return not any(line.strip() and not line.lstrip().startswith("#") for line in self.content.split("\n"))

    @property
    def has_project(self) -> bool:
        """Whether a ``pyproject.toml`` has a table that packages are read from."""
        return bool(PYPROJECT_TABLES & set(TomlText(self.content, self.path).data))

    def begin(self) -> EditedText:
        """Return the script with empty metadata. Raises: InvalidDefinitionError if it has a block that is not valid."""
        check_script_block(self._source.text, self.path)
        splice = insert_block(self._source.text, "dependencies = []")
        return EditedText(self._source.apply([splice]), self.format, self.path)

    def find_line(self, offset: int) -> int:
        """Return the number of the line of the file with an offset of ``content``."""
        return line_number(self.content, offset) + (self._block.line if self._block else 0)

    def find_column(self, offset: int) -> int:
        """Return the column of an offset, counted from 1."""
        return offset - (self.content.rfind("\n", 0, offset) + 1) + 1 + (2 if self._block else 0)

    def insert(self, chosen: PackageList, index: int, text: str) -> EditedText:
        """Return the text with an item more. Raises: EditRefusedError."""
        listed = chosen.open(self.content)
        texts = [item.text for item in listed.items]
        return self._change(chosen, listed, listed.insert(index, text), [*texts[:index], text, *texts[index:]])

    def delete(self, chosen: PackageList, index: int) -> EditedText:
        """Return the text with an item less. Raises: EditRefusedError."""
        listed = chosen.open(self.content)
        texts = [item.text for item in listed.items]
        return self._change(chosen, listed, listed.delete(index), [*texts[:index], *texts[index + 1 :]])

    def replace(self, chosen: PackageList, index: int, text: str) -> EditedText:
        """Return the text with another item in place of one. Raises: EditRefusedError."""
        listed = chosen.open(self.content)
        texts = [item.text for item in listed.items]
        return self._change(chosen, listed, listed.replace(index, text), [*texts[:index], text, *texts[index + 1 :]])

    def _change(
        self, chosen: PackageList, before: EditableList, splices: Sequence[Splice], expected: Sequence[str]
    ) -> EditedText:
        """Return the text with ``splices``, which must have no other effect than that the items are as ``expected``."""
        if self._block is not None:
            places = BlockPlaces(self._source.text, self._block)
            splices = [places.convert(splice) for splice in splices]
        try:
            changed = EditedText(self._source.apply(splices), self.format, self.path)
            after = chosen.open(changed.content)
        except InvalidDefinitionError as error:
            raise EditRefusedError(f"The file would not be valid any more: {error.message}") from None
        if after.rest != before.rest or [item.text for item in after.items] != list(expected):
            raise EditRefusedError(f"{before.place} is written in a form that can't be edited")
        if self._outside() != changed._outside():
            raise EditRefusedError("The script is written in a form that can't be edited")
        return changed

    def _outside(self) -> tuple[str, str] | None:
        return split_script(self._source.text, self._block) if self._block is not None else None
