"""The service from Python: `Client`, and `AsyncClient` with the same methods to await."""

from service.client.client import AsyncClient, Client
from service.client.messages import Job, Lifted, NoService, ServiceProblem

__all__ = ["AsyncClient", "Client", "Job", "Lifted", "NoService", "ServiceProblem"]
