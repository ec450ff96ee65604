"""Operations on environments and run configurations that Azure's SDK and roost both can do, run under each.

``program`` runs them all and writes what each came to; ``dependencies``, ``environments`` and ``configurations`` have
the operations, ``documents`` the environment files, ``sdk`` the names of either side. They run under Python 3.10 too,
without roost and without the rest of the tests.
"""
