"""Commands that are run in environments: records of them, and the processes and containers that they are.

Reading order: ``states`` (the pure state machine), ``records`` (rows and events), ``processes`` and ``containers`` with
``container_specs``, ``container_records``, ``bridge``, ``attach`` and ``sweep`` (drivers that observe and act),
``stored_output`` (what is kept of the output), ``starts`` (what a run starts in, and detached runs until they start),
``runs`` (all of them together), ``reruns``, ``filters`` (what a list of runs is asked for; pure). Imports ``builds``,
``planning``, ``launch``, ``engines`` and what lies below.

Doors: attach, filters, records, reruns, runs, starts.
"""
