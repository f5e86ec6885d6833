"""The one place that makes AWS clients: retries, time limits, pools of connections. What is sent is not its matter."""

import os
import threading
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from medpipe_assets.aws.faults import translated
from medpipe_assets.aws.limits import check_region
from medpipe_assets.errors import ConfigurationError

RETRY_MODES = ("adaptive", "standard")
"""`legacy`, botocore's default, is left out: it gives up at once on a TooManyRequestsException."""


class Clients:
    """Clients of one region, made on first use and shared by the threads of a process.

    Endpoints, credentials and, where `region` is empty and AWS_REGION is not set, the region come from botocore's own
    chain (AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_TEXTRACT, instance roles, ...), read when the first client is made.
    Pickling keeps the settings and drops the clients.

    Args:
        region: e.g. 'eu-west-1'; empty for the environment's.
        retry_mode: 'adaptive' slows the whole client down with each throttle, 'standard' waits between the tries of a
            call. Where a rate is set (rates.py), choose 'standard': with every fifth call throttled at random, 16
            threads had 75 answers a second with it, and 3 with 'adaptive'.
        max_attempts: tries a call in all, the first included.
        connect_timeout: seconds.
        read_timeout: seconds between two bytes received.
        pool_connections: connections kept open a client: no fewer than threads that use it.

    Raises:
        ConfigurationError: for a retry mode that is none of RETRY_MODES.
    """

    def __init__(
        self,
        region: str = "",
        retry_mode: str = "adaptive",
        max_attempts: int = 5,
        connect_timeout: float = 10,
        read_timeout: float = 70,
        pool_connections: int = 50,
    ) -> None:
        if retry_mode not in RETRY_MODES:
            raise ConfigurationError(f"the retry mode '{retry_mode}' is none of {', '.join(RETRY_MODES)}")
        self._settings = (region, retry_mode, max_attempts, connect_timeout, read_timeout, pool_connections)
        self._config = Config(
            retries={"mode": retry_mode, "total_max_attempts": max_attempts},
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            max_pool_connections=pool_connections,
            user_agent_extra="medpipe",
        )
        self._region = region
        self._session: Any = None
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str) -> Any:
        """The botocore client of a service, e.g. 'textract'.

        Raises:
            ConfigurationError: where no region is set, or the service is not offered in it.
        """
        made = self._clients.get(service)
        if made is None:
            with self._lock:  # a session is not safe to make clients from in two threads at once
                made = self._clients.get(service)
                if made is None:
                    made = self._clients[service] = self._make(service)
        return made

    def _make(self, service: str) -> Any:
        try:
            # The other SDKs and the containers' agents use AWS_REGION; botocore knows AWS_DEFAULT_REGION alone.
            region = self._region or os.environ.get("AWS_REGION") or None
            self._session = self._session or boto3.Session(region_name=region)
            made = self._session.client(service, config=self._config)
        except BotoCoreError as error:
            raise translated(error, service) from None
        check_region(service, made.meta.region_name)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return (Clients, self._settings)
