"""What clients of buckets raise beside OSError, so that a bucket that refuses is told like a disk that does.

    except client_errors() as error: …       a client that is not loaded raises nothing, and is not loaded for this

What does not belong here: what is said of it (`store`, `sources`, `engines`).
"""

from __future__ import annotations

import sys

_FAULTS = (
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("gcsfs.retry", "ChecksumError"),
    ("gcsfs.retry", "NonRetryableError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("google.api_core.exceptions", "GoogleAPIError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
)


def client_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """OSError, what the loaded clients raise beside it, and `more`.

    >>> OSError in client_errors()
    True
    """
    return (OSError, *more, *(getattr(sys.modules.get(module), name, OSError) for module, name in _FAULTS))
