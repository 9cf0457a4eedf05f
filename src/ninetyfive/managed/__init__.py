"""Jobs on services that somebody else runs: Dataproc and Dataflow.

    submit ─▶ run ─▶ Engine.run(plans) ─▶ engine.py ─▶ plans_job.py: plans ─▶ gs://…/jobs/<id>/ ─▶ driver.py on Spark
                                              │        graph_job.py: a graph ─▶ the same ─▶ workers of Beam
                                              └─ attending.py: decides (jobs.py), submits or attaches, waits

    jobs.py      what a job and a request are, what to do next: pure    calling.py     a call: retried, told
    identity.py  what names a job                                       estimating.py  what it may cost
    packing.py   plans and results in a folder of a bucket              offers.py      which services there are
    engine.py    an engine on a service; driver.py runs there           dataproc.py, dataflow.py: what each is told
    verbs.py     list, show, cancel, attach

The rule: what is sent is rendered first, offline, and sent as it was rendered. What is true stays here, in the catalog;
the service only works. The clients of Google are imported in this folder only, inside the functions that call them.

What does not belong here: what a step does (`steps`), how plans run (`engines`).
"""
