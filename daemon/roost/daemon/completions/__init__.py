"""Values for shell completion: small text files in the root, replaced after each change, that shells read by builtins.

Read in this order: ``texts`` (the format of a file, pure), ``gathering`` (what is in each), ``completions`` (when they
are replaced). The scripts that read them are made by ``roost.client.cli.completion``.

May import: ``jobs``, ``decision``, and the store.

Doors: completions.
"""
