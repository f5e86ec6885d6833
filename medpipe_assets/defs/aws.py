"""AWS as Dagster resources: dagster-aws's own, with clients from aws/clients.py. They are bound in resources.py.

An asset of yours asks for one by its key and the type of dagster-aws, and calls `get_client()` in its body:
`s3: S3Resource`, `athena: AthenaClientResource`, `secrets: SecretsManagerResource`. `pipes_glue: PipesGlue` and
`pipes_emr_serverless: PipesEmrServerless` give the Pipes clients. What dagster-aws has no resource for (SQS, SNS, ...)
is had from `aws: AwsResource`. Nothing is read from the environment, and no client made, before a body asks for it.

They are subclassed because dagster-aws makes its clients itself: without time limits, and for Athena and Pipes with
botocore's legacy retries, which give up at once on a TooManyRequestsException.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster_aws.athena import AthenaClientResource
from dagster_aws.athena.resources import AthenaClient
from dagster_aws.pipes import (
    PipesCloudWatchMessageReader,
    PipesEMRServerlessClient,
    PipesGlueClient,
    PipesS3ContextInjector,
    PipesS3MessageReader,
)
from dagster_aws.s3 import S3Resource
from dagster_aws.secretsmanager import SecretsManagerResource
from pydantic import PrivateAttr

from medpipe_assets.aws.clients import Clients
from medpipe_assets.aws.secrets import Secret, secret
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.settings import Settings, lake_location


class AwsResource(dg.ConfigurableResource):
    """Clients of AWS services, in the region of MEDPIPE_REGION or the environment: `aws.clients().client("sqs")`."""

    _clients: Clients | None = PrivateAttr(default=None)

    def clients(self) -> Clients:
        """The clients, made on first use and kept for the run."""
        if self._clients is None:
            self._clients = Clients(Settings.load().region)
        return self._clients


class S3(S3Resource, AwsResource):
    """dagster-aws's S3, with medpipe's client."""

    def get_client(self) -> Any:
        _refuse_settings(self, S3Resource)
        return self.clients().client("s3")


class SecretsManager(SecretsManagerResource, AwsResource):
    """dagster-aws's Secrets Manager, with medpipe's client; `read` looks into environment and files first."""

    def get_client(self) -> Any:
        _refuse_settings(self, SecretsManagerResource)
        return self.clients().client("secretsmanager")

    def read(self, name: str) -> Secret:
        """A secret as it is now; see `aws.secrets.secret`."""
        return secret(name, clients=self.clients())


class _Queries(AthenaClient):
    """dagster-aws's queries. Results come from Athena: the other way would make a client of S3 outside our settings."""

    def _results(self, execution_id: str) -> list[tuple[str | None, ...]]:
        pages = self.client.get_paginator("get_query_results").paginate(QueryExecutionId=execution_id)
        rows = [row["Data"] for page in pages for row in page["ResultSet"]["Rows"]]
        return [tuple(cell.get("VarCharValue") for cell in row) for row in rows[1:]]  # the first holds the names


class Athena(AthenaClientResource, AwsResource):
    """dagster-aws's Athena, with medpipe's client: `athena.get_client().execute_query(sql, fetch_results=True)`."""

    def get_client(self) -> AthenaClient:
        _refuse_settings(self, AthenaClientResource, "workgroup", "polling_interval", "max_polls")
        return _Queries(self.clients().client("athena"), self.workgroup, self.polling_interval, self.max_polls)


class _Messages(PipesS3MessageReader):
    """dagster-aws's reader, with messages below the staging zone rather than anywhere in its bucket."""

    def __init__(self, prefix: str, **more: Any) -> None:
        super().__init__(**more)
        self._prefix = prefix

    @contextmanager
    def get_params(self) -> Iterator[Any]:
        with super().get_params() as params:
            yield {**params, "key_prefix": f"{self._prefix}{params['key_prefix']}"}


class PipesGlue(AwsResource):
    """Glue jobs by Pipes: `pipes_glue.get_client().run(context=context, start_job_run_params={...})`.

    Context and messages go through the staging zone of a lake on S3. Ask for a client for each run of a job: its reader
    of messages goes on counting where the last job ended, and would see none of the next one's.
    """

    def get_client(self) -> PipesGlueClient:
        s3 = self.clients().client("s3")
        bucket, prefix = _pipes_place()
        return PipesGlueClient(
            PipesS3ContextInjector(bucket=bucket, client=s3, key_prefix=prefix),
            _Messages(prefix, bucket=bucket, client=s3),
            self.clients().client("glue"),
        )


class PipesEmrServerless(AwsResource):
    """EMR Serverless jobs by Pipes. Their context goes through the staging zone: what is told in variables must be
    short; their messages come through CloudWatch Logs, the one way that dagster-aws reads.
    """

    def get_client(self) -> PipesEMRServerlessClient:
        """A client for one job run, as of `PipesGlue`."""
        client = self.clients().client
        bucket, prefix = _pipes_place()
        return PipesEMRServerlessClient(
            client("emr-serverless"),
            PipesS3ContextInjector(bucket=bucket, client=client("s3"), key_prefix=prefix),
            PipesCloudWatchMessageReader(client("logs")),
        )


def _pipes_place() -> tuple[str, str]:
    """Bucket and key prefix where Pipes puts context and messages."""
    location = lake_location()
    if not location.is_remote:
        raise ConfigurationError("Pipes needs a lake on S3: set MEDPIPE_LAKE=s3://bucket/prefix")
    bucket, _, prefix = location.zone("staging").removeprefix("s3://").partition("/")
    return bucket, f"{prefix}/pipes/".lstrip("/")


def _refuse_settings(resource: Any, base: type, *allowed: str) -> None:
    """Refuse what dagster-aws's resource could be told and the environment decides here, rather than ignore it."""
    fields = base.model_fields.items()  # type: ignore[attr-defined]  # `type` hides that it is pydantic's
    given = [n for n, f in fields if n not in allowed and getattr(resource, n) != f.default]
    if given:
        raise ConfigurationError(f"{given[0]} is for the environment to say: set MEDPIPE_REGION, AWS_PROFILE, ...")
