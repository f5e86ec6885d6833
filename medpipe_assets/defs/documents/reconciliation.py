"""The nightly look at an inbox on S3: what no message announced, what is gone, and which messages were given up."""

import dagster as dg

from medpipe_assets.defs.aws import AwsResource
from medpipe_assets.defs.documents.partitions import today
from medpipe_assets.defs.documents.sensors import bucket_of
from medpipe_assets.defs.resources import LakeResource, private_errors
from medpipe_assets.documents.news import quarantine_letters, reconcile
from medpipe_assets.errors import ConfigurationError
from medpipe_assets.inbox.sqs import dead_letters
from medpipe_assets.settings import Settings, is_remote

NOT_ON_S3 = "no inbox on S3 is configured: set MEDPIPE_INBOX=s3://bucket/prefix"
OWNERS = ["team:clinical-data"]


@dg.asset(
    group_name="inbox",
    owners=OWNERS,
    kinds={"s3", "sqs"},
    description="Compares the bucket with what was taken in: what no message announced is receipted, what is gone is "
    "recorded, and dead letters (MEDPIPE_INBOX_DEAD_LETTERS) go into quarantine. The sensors run what it finds.",
)
def inbox_reconciliation(
    context: dg.AssetExecutionContext, lake: LakeResource, aws: AwsResource
) -> dg.MaterializeResult:
    with private_errors():
        settings, opened, day = Settings.load(), lake.open(), today()
        if not is_remote(settings.inbox):
            raise ConfigurationError(NOT_ON_S3)
        found = reconcile(opened, bucket_of(settings, opened, aws.clients()), day, run_id=context.run.run_id)
        url = settings.inbox_dead_letters
        letters = dead_letters(url, aws.clients().client("sqs")) if url else []
        new = quarantine_letters(opened, letters, day, run_id=context.run.run_id)
    return dg.MaterializeResult(
        metadata={
            "sources_known": found.known,
            "unannounced": found.unannounced,
            "gone": found.gone,
            "dead_letters": len(letters),
            "dead_letters_new": new,
            "dead_letters_readable": sum(letter.readable for letter in letters),
        }
    )
