"""The workspace of this machine: registered versions of environments, and the local files that they refer to.

Reading order: ``versions`` (registering, labelling, archiving and removing versions), ``removal`` (what is left of
removed ones), ``local_content`` (copies of local files and folders, stored by content), ``stored_wheels`` (checks a
wheel before it is stored), ``file_references`` (registered environments that a file names), ``resolver`` (from the
selector of a request to a definition).

Imports ``runs`` (recorded runs, which a selector may name), ``definitions``, ``launch``, ``jobs``, ``config``, the
store, the model and the wire.

Doors: local_content, removal, resolver, stored_wheels, versions.
"""
