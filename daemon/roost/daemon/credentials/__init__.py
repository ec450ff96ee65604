"""Credentials: found for one request, masked in everything that is stored, and never stored themselves.

Reading order: ``substitution`` (``${NAME}`` in URLs), ``auth_files`` and ``host`` (credentials for channels and package
indexes), ``request`` (credentials for registries that belong to one request), ``values`` (the values that a request
brings, masked in every encoding), ``redaction`` (whatever else looks like a credential),
``commands`` (commands of runs as they are recorded).

Imports ``config``, the model and the wire types.

Doors: auth_files, commands, host, redaction, request, substitution, values.
"""
