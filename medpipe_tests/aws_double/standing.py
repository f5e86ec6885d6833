"""A double put together: its services over their engines, and the S3 and SNS (moto's) that they reach into."""

from collections.abc import Callable, Mapping
from typing import Any

from medpipe_assets.warehouse.duckdb import DuckDBWarehouse
from medpipe_tests.aws_double.athena import Athena, WorkGroup
from medpipe_tests.aws_double.athena_tables import GlueTables
from medpipe_tests.aws_double.comprehend_medical import ComprehendMedical
from medpipe_tests.aws_double.data_automation import DataAutomation
from medpipe_tests.aws_double.double import AwsDouble, Bill
from medpipe_tests.aws_double.engines import Engines, toy_engines
from medpipe_tests.aws_double.model import session
from medpipe_tests.aws_double.moto_server import ROLE_KEY
from medpipe_tests.aws_double.objects import Objects
from medpipe_tests.aws_double.textract import Textract
from medpipe_tests.aws_double.translate import Translate

REGION = "us-east-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIADOUBLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
}
"""What a client needs to sign requests that no real account would take."""


def stand_up(
    engines: Engines | None = None,
    endpoint: str | None = None,
    warehouse: Callable[[], DuckDBWarehouse] | None = None,
    workgroups: Mapping[str, WorkGroup] | None = None,
    polls: int = 1,
    **settings: Any,
) -> AwsDouble:
    """A double of all services.

    Args:
        engines: what it knows; None knows next to nothing (see `engines.toy_engines`).
        endpoint: where its S3 and SNS are; None is wherever this process' clients go (moto's mock_aws).
        warehouse: gives Athena's tables; None finds them where they are, in Glue's catalog and S3.
        workgroups: Athena's, by name.
        polls: how often jobs and queries say that they are not done yet.
        settings: faults, quotas, denied, latency_seconds, clock; see AwsDouble.
    """
    engines = engines or toy_engines()
    bill = Bill()
    objects = Objects(lambda: _client("s3", endpoint))
    by_role = Objects(lambda: _client("s3", endpoint, ROLE_KEY))

    def publish(topic: str, message: str) -> None:
        _client("sns", endpoint, ROLE_KEY).publish(TopicArn=topic, Message=message)

    services = (
        Textract(engines.read, bill.add, objects, publish, polls),
        DataAutomation(engines.read, bill.add, objects, polls),
        Translate(engines.translate, bill.add, by_role, polls),
        ComprehendMedical(engines, bill.add, by_role, polls),
        Athena(warehouse or _glue(endpoint, objects), bill.add, objects, workgroups, polls),
    )
    return AwsDouble({service.name: service for service in services}, bill, **settings)


def _glue(endpoint: str | None, objects: Objects) -> GlueTables:
    return GlueTables(lambda service: _client(service, endpoint), objects, REGION, endpoint, CREDENTIALS)


def _client(service: str, endpoint: str | None, key: str = CREDENTIALS["AWS_ACCESS_KEY_ID"]) -> Any:
    return session().create_client(
        service,
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
