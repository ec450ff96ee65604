"""Commands about registered environments and their files.

Reading order: ``family`` (the parser of ``env``), ``references`` (``NAME[:VERSION|@LABEL]`` and routes), ``views``
(``list``, ``show``, ``versions``), ``registration`` (``register``, ``label``, ``clone``, ``archive``, ``remove``,
``add-wheel``), ``editor`` (``edit``), ``changes`` (differences as text), ``comparison`` (``diff``, ``outdated``,
``rollback``), ``where_used`` (``who``), ``exchange`` (``import``, ``export``), ``curated`` (the family ``curated``).

May import ``roost.client.cli`` (context, paging, parser, selector), and the client's packages below the command line.

Doors: changes.
"""
