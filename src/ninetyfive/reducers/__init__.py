"""Mergeable summaries: one folder serves statistics, fitting, evaluation and monitoring."""
