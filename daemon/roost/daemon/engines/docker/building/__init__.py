"""Docker steps, Dockerfiles and build contexts, and the two builders of an engine that execute them.

Reading order: ``steps`` (what a Dockerfile says, pure), ``context`` (a build, and what is sent for it), ``classic``
(the engine's own builder), ``buildx`` (BuildKit, through the docker command), ``failures`` (which step failed, pure),
``base_name`` (a name for a base while BuildKit builds on it).

Imports the client, the errors, the images and the values of the Docker engine, whose ``engine`` drives the builders.

Doors: base_name, buildx, classic, context, steps.
"""
