"""The prediction service, the side that answers: one release folder and one table in, answers out.

    python -m ninetyfive.serve CONFIG.json

The rule: a worker reads no system.py, no catalog and no settings, and imports no SQLAlchemy, no PyArrow and no trainer;
Polars only once a request is large. What does not belong here: which release is live, and who watches the workers
(`supervise`).
"""
