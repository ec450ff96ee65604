"""The HTTP routes of the daemon, one module per resource: the only code that takes ``Services`` apart.

Reading order: ``table`` (the application and the list of all routes), then any resource. A handler takes a ``Call`` of
``server.routing``, passes each part what it needs, and returns a reply. Imports everything below.

Doors: table.
"""
