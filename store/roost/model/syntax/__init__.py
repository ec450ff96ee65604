"""Grammars of other tools as text and values: parsing, normal forms, and secrets in them.

Read ``pip_lines`` (pip's requirements; ``pip_options`` and ``direct_urls`` are parts of it), ``match_specs`` (conda's),
``wheel_references``, ``dockerignore`` and ``azure`` (the SDK's environment file); ``urls`` and ``secret_keys`` find
secrets in texts and tables, ``variables`` finds references to variables where none may be; ``bounds`` are on the size
of everything that is read. No module knows a reader or writer.

May import ``definition`` and ``errors`` of the model.

Doors: azure, bounds, dockerignore, match_specs, pip_lines, pip_options, secret_keys, urls, variables, wheel_references.
"""
