"""The Python API: the objects behind ``from roost.client import …``, for notebooks and scripts.

The names, parameters and attributes are those of Azure's SDK, so that scripts port by a change of imports. An object
holds values; whatever needs the daemon goes through ``connection``, which starts the daemon if it does not run.

Read in this order, lowest first; a module imports only what stands before it:

1. ``errors``: the exceptions; ``connection``: requests on behalf of a workspace.
2. ``sections``: the parts of an environment, as plain values.
3. ``description``: the state of an environment; ``passthrough`` and ``documents``: that state as the daemon's document,
   and back; ``selectors``: how a request names an environment.
4. ``builds``, ``image_details``, ``directory_format``: answers of the daemon as objects and files.
5. ``environment``: ``Environment``; ``references``: one in the place of an ``Environment``; ``leases``.
6. ``configurations``: what to run, where and in which environment.
7. ``run_record``, ``run_output``: what is recorded of a run, and following its output.
8. ``workspace``: ``Workspace``, ``Experiment`` and ``Run``, which refer to one another.

It may import ``transport``, ``terminal`` (texts), ``export_files``, ``errors`` and ``paths`` of the client.

Doors: builds, connection, directory_format, environment, errors, image_details, references, selectors, workspace.
"""
