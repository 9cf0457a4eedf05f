"""Jobs on services that somebody else runs: Dataproc, and whoever offers as much.

    submit ─▶ run ─▶ Engine.run(plans) ─▶ engine.py ─ packs ─▶ gs://…/jobs/<id>/ ─▶ the service runs driver.py
                                              └─ attending.py: decides (jobs.py), submits or attaches, waits

    jobs.py      what a job and a request are, what to do next: pure    calling.py     a call: retried, told
    identity.py  what names a job                                       estimating.py  what it may cost
    packing.py   plans and results in a folder of a bucket              offers.py      which services there are
    engine.py    an engine on a service; driver.py runs there           dataproc.py    one file a service
    verbs.py     list, show, cancel, attach                         container.py   the front of a serving container
    vertex_verbs.py   serve a release, answer a batch: vertex_endpoint.py, vertex_rows.py

The rule: what is sent is rendered first, offline, and sent as it was rendered. What is true stays here, in the catalog;
the service only works. The clients of Google are imported in this folder only, inside the functions that call them.

What does not belong here: what a step does (`steps`), how plans run (`engines`).
"""
