"""What to run, where and in which environment: ``RunConfiguration`` and ``ScriptRunConfig``, their files in Azure's
layout, and the request that submits them.

Read in this order: ``parts`` (the tables of a run configuration), ``text`` (its YAML), ``form`` (from attributes to the
values of a file, and back), ``files`` (where the files lie, and the environment in them), ``run_config``, ``refusals``
(what a run can't do), ``script_run_config``, ``submission``. The modules import everything of the Python API up to
``environment`` and ``references``; not ``workspace``.

Doors: parts, run_config, script_run_config, submission.
"""
