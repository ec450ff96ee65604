"""Files as documents: what is written in them and where, and what is wrong with them.

Read ``document`` (items, problems and the result of one reading), ``places`` (offsets in a text as lines and columns)
and ``recovery`` (going on after an error), then the syntaxes that are parsed with places: ``yaml_nodes``, ``toml_text``
with ``toml_places``, ``dockerfile``. ``conflicts``: the marks of a merge. No module knows a format of environments:
that is the readers' part.

May import ``definition``, ``errors`` and ``syntax`` of the model.

Doors: conflicts, dockerfile, document, places, recovery, toml_places, toml_text, yaml_nodes.
"""
