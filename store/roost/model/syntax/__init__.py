"""Grammars of other tools as text and values: parsing, normal forms, and secrets in them.

Read ``pip_lines`` and ``match_specs`` (pip's and conda's requirements), ``wheel_references``, ``dockerignore`` and
``azure`` (the SDK's environment file); ``urls`` and ``secret_keys`` find secrets in texts and tables, ``variables``
finds references to variables where none may be; ``bounds`` are on the size of everything that is read. No module knows
a reader or writer.

May import ``definition`` and ``errors`` of the model.

Doors: azure, bounds, dockerignore, match_specs, pip_lines, secret_keys, urls, variables, wheel_references.
"""
