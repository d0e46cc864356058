"""A client of the brokers of the Urban Compute Platform, by the standard library alone.

:class:`Client` waits for each answer, :class:`AsyncClient` is the same for asyncio, and :mod:`ucp.types` has the shapes of what
is sent and answered. Errors are exceptions: :class:`UCPError` and what is derived from it.
"""

from . import types
from .aio import AsyncClient
from .city import Identity
from .client import FINAL, Client, new_job_id
from .errors import APIError, Cancelled, IdentityError, JobFailed, UCPError, Unreachable

__all__ = [
    "APIError",
    "AsyncClient",
    "Cancelled",
    "Client",
    "FINAL",
    "Identity",
    "IdentityError",
    "JobFailed",
    "UCPError",
    "Unreachable",
    "new_job_id",
    "types",
]
