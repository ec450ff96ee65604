"""Definitions as requests name them: found, read, digested, and narrowed to one target.

Read in this order: ``resolved`` (a definition with its digest, and the same for one target), ``resolve`` (from a
selector, a registered version or a recorded run to a resolved definition), ``choices`` (what a request chooses of a
definition and adds to it), ``files`` (file access that notes what was read), ``large_inputs`` (what is read in a
worker, with a deadline), ``stamps`` (the state of a file at one moment), ``editables`` (folders whose content is in a
lock), ``config_reloader`` (the configuration whose defaults a definition is digested with, read again if it changed).

Reads files and the index; executes nothing. May import ``config``, ``decision``, ``oci`` and ``workers`` of the daemon,
the store, the model and the wire types.

Doors: choices, config_reloader, editables, files, large_inputs, resolve, resolved, stamps.
"""
