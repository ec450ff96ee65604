"""What to run, where and in which environment: ``RunConfiguration`` and ``ScriptRunConfig``, their files in Azure's
layout, and the request that submits them.

Read in this order: ``text`` (the YAML of a run configuration), ``files`` (where the files lie, and the environment in
them), ``run_config``, ``script_run_config``, ``submission``. The modules import everything of the Python API up to
``environment`` and ``references``; not ``workspace``.

Doors: run_config, script_run_config, submission.
"""
