"""The store: a catalog that says what is true, and artifacts that never change.

    put file ─▶ artifacts/<sha256>        nobody counts it yet
    one transaction ─▶ catalog            names it, changes a state, appends to the audit

    opening.py  open_store, Store         leases.py, row_leases.py   one at a time, freed by kill -9
    catalog.py  tables, transactions      sqlite.py, postgres.py     the databases that keep them
    versions.py  made, migrated           audit.py                   the hash chain
    jobs.py     of managed services
    artifacts.py, buckets.py  files       doctor.py                  what is wrong, and what to do

The rule: every change is one transaction, which names only files that are there and holds its own audit record.

What does not belong here: what a span, a step or a release means (`steps`), and how a release is served.
`manifests` is the one module that a serving worker may read: it needs neither catalog nor SQLAlchemy.
"""
