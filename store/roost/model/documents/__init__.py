"""Files as documents: what is written in them and where, and what is wrong with them.

Read ``document`` (items, problems and the result of one reading), ``places`` (offsets in a text as lines and columns),
then the two syntaxes that are parsed with places: ``yaml_nodes``, and ``toml_text`` with ``toml_places``. No module
knows a format: that is the readers' part.

May import ``definition``, ``errors`` and ``syntax`` of the model.

Doors: document, places, toml_places, toml_text, yaml_nodes.
"""
