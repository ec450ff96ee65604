"""Changes of environment files: packages added to and removed from a text, which stays as it is everywhere else.

Read in this order: ``change`` (what is asked, and what came of it), ``source_text`` (a file's bytes, and pieces of them
that are replaced), ``item_lists`` (where an item goes, and how it is written), ``bracket_lists``, ``toml_arrays``,
``yaml_lists`` and ``requirement_lines`` (the lists of each kind of file), ``scripts`` (a script's metadata),
``formats`` (which list is meant), ``packages`` (what becomes of a package), ``editing`` (one state of a text),
``steps`` (one package added or removed), ``verification`` and ``edit`` (the change, verified by reading both texts),
``beginnings`` (texts of new files). May import the rest of ``roost.model``.

Doors: beginnings, change, edit.
"""
