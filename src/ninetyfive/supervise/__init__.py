"""The prediction service, the side that watches: which release is live, and the workers that serve it.

What does not belong here: how a request is answered (`serve`).
"""
