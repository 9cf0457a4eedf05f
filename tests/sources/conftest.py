"""A bucket, for what lands in one."""

from tests.store.conftest import bucket

__all__ = ["bucket"]
