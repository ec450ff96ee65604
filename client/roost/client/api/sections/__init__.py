"""The sections of an environment as plain values, with the attributes of Azure's objects of the same names.

Read ``docker``, ``python``, ``spark`` and ``r`` in any order; ``conda_dependencies`` is the largest part of ``python``.
``conda_file`` reads and writes its file, ``pip_lines`` its pip requirements. Nothing here knows the daemon: the modules
import ``errors`` of the Python API and one another.

Doors: conda_dependencies, docker, python, r, spark.
"""
