"""Jobs on services that somebody else runs: Dataproc, Dataflow and Vertex AI.

    submit ─▶ run ─▶ Engine.run(plans) ─▶ engine.py ─▶ plans_job.py: plans ─▶ gs://…/jobs/<id>/ ─▶ driver.py on Spark
                                              │        graph_job.py: a graph ─▶ the same ─▶ workers of Beam
                                              └─ attending.py: decides (jobs.py), submits or attaches, waits

    jobs.py      what a job and a request are, what to do next: pure    estimating.py  what it may cost
    identity.py  what names a job                                       offers.py      which services there are
    packing.py   plans and results in a folder of a bucket              dataproc.py, dataflow.py: what each is told
    engine.py    an engine on a service; driver.py runs there           cloud.py       what is the same for all of them
    verbs.py     list, show, cancel, attach                             asked.py       a command and its words

    submit ─▶ whole.py ─ parcel.py: the project ─▶ gs://…/jobs/<id>/ ─▶ the service runs worker.py, in tasks or at once

    pipelining.py  a run as a pipeline, compiled by kfp                 locally.py     the same pipeline on this machine
    vertex.py, vertex_calls.py    what is the same for all of Vertex AI: states and pages; clients and operations
    vertex_pipelines.py           a run as a pipeline job               vertex_custom.py  a command as a custom job
    vertex_numbered.py            jobs that the service numbers: custom ones and batches, found by their display name

    submit ─▶ vertex_verbs.py ─┬─ vertex_endpoint.py: uploads, deploys, shares the traffic (traffic.py), undeploys
                               │  vertex_serving.py renders that; container.py is the front of the container there
                               └─ vertex_batch.py: a batch prediction job; vertex_rows.py: its rows and their answers

The rule: what is sent is rendered first, offline, and sent as it was rendered. What is true stays here, in the catalog;
the service only works. The clients of Google are imported here, and in `sources` for what lands from a service, inside
the functions that call them; how a call is retried and told is `ninetyfive.calling`.

What does not belong here: what a step does (`steps`), how plans run (`engines`).
"""
