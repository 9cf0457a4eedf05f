"""Prediction tables: an answer and a fingerprint for each entity, in one file that workers map and share.

What does not belong here: what a table is built from and whether it is good enough (`steps`, `decisions`).
"""
