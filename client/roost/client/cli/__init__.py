"""The command line.

Reading order: ``main`` (one invocation), ``parser`` (all commands and options), ``context`` (what every command works
with), ``selector`` (the options that select an environment), ``paging`` (long lists), ``completion`` (shell completion
made from the parser), ``mistakes`` and ``foreign`` (wrong command lines, imported after one). The commands are in a
package for each subject: ``execution`` (plan, build, run), ``editing`` (environment files), ``environments``
(registered environments), ``administration`` (the daemon, images, registries), ``reference`` (``help``).

``parser`` imports the modules of commands by name, from its table ``MODULES``, and only those that the command needs:
no import statement shows this. A module of commands has a function ``add`` for the parser, and a function ``…_command``
for each command, which returns the exit status.

May import ``roost.client.launch``, ``transport``, ``terminal``, ``export_files`` and the modules below them.

Doors: context, main, paging, parser, selector.
"""
