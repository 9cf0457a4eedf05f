"""Jobs on services that somebody else runs: Dataproc, Dataflow and Vertex AI.

    submit ─▶ run ─▶ Engine.run(plans) ─▶ engine.py ─▶ plans_job.py: plans ─▶ gs://…/jobs/<id>/ ─▶ driver.py on Spark
                                              │        graph_job.py: a graph ─▶ the same ─▶ workers of Beam
                                              └─ attending.py: decides (jobs.py), submits or attaches, waits

    jobs.py      what a job and a request are, what to do next: pure    estimating.py  what it may cost
    identity.py  what names a job                                       offers.py      which services there are
    packing.py   plans and results in a folder of a bucket              dataproc.py, dataflow.py: what each is told
    engine.py    an engine on a service; driver.py runs there           verbs.py       list, show, cancel, attach

    submit ─▶ whole.py ─ parcel.py: the project ─▶ gs://…/jobs/<id>/ ─▶ the service runs worker.py, in tasks or at once

    vertex.py, vertex_pipelines.py, vertex_custom.py     pipelining.py  a run as a pipeline, compiled by kfp
    asked.py     a command and its words                  locally.py     the same pipeline on this machine

    submit ─▶ vertex_verbs.py: serve a release (vertex_endpoint.py), answer a batch (vertex_batch.py, vertex_rows.py)
              container.py  the front of a serving container

The rule: what is sent is rendered first, offline, and sent as it was rendered. What is true stays here, in the catalog;
the service only works. The clients of Google are imported here, and in `sources` for what lands from a service, inside
the functions that call them; how a call is retried and told is `ninetyfive.calling`.

What does not belong here: what a step does (`steps`), how plans run (`engines`).
"""
