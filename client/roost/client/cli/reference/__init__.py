"""``help``: pages about subjects, which come with roost, and the help of commands.

Reading order: ``topics`` (the pages and their names), ``layout`` (a page of Markdown as text for a terminal, pure),
``pager``, ``command``. ``pages`` has links to the pages, most of which are in ``docs``; a wheel has their content.
``python -m tests.golden.reference`` writes those pages anew that are made of the readers' own tables.

May import ``context`` and ``parser``, and what these may.

Doors: none.
"""
