"""AWS as resources: what an asset of a user's own gets when it asks for one."""

import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from dagster_aws.athena import AthenaClientResource
from dagster_aws.athena.resources import AthenaError
from dagster_aws.s3 import S3Resource
from dagster_aws.secretsmanager import SecretsManagerResource
from dagster_pipes import decode_param

from medpipe_assets.aws.clients import RETRY_MODES
from medpipe_assets.defs.aws import S3, Athena, AwsResource, PipesEmrServerless, PipesGlue, SecretsManager
from medpipe_assets.defs.resources import resources
from medpipe_assets.errors import ConfigurationError
from medpipe_tests.aws_double.athena import WorkGroup
from medpipe_tests.aws_double.fixtures import Aws, aws, moto_server

__all__ = ["aws", "moto_server"]

REGION = "eu-west-1"


def materialise(*assets: Any) -> dg.ExecuteInProcessResult:
    """Run assets with the code location's own resources."""
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(list(assets), resources=resources(), instance=instance)


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")


def test_an_asset_asks_by_dagster_aws_types_and_gets_clients_with_our_limits(
    no_aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDPIPE_REGION", REGION)
    given: list[Any] = []

    @dg.asset
    def mine(s3: S3Resource, athena: AthenaClientResource, secrets: SecretsManagerResource, aws: AwsResource) -> None:
        given.extend([s3.get_client(), athena.get_client().client, secrets.get_client(), aws.clients().client("sns")])

    assert materialise(mine).success
    assert {client.meta.region_name for client in given} == {REGION}
    assert {client.meta.config.retries["mode"] for client in given} <= set(RETRY_MODES)
    assert all(client.meta.config.read_timeout and client.meta.config.connect_timeout for client in given)


def test_nothing_is_asked_of_the_environment_before_a_body_does(no_aws: None) -> None:
    ran: list[str] = []

    @dg.asset
    def careful(
        s3: S3Resource,
        athena: Athena,
        secrets: SecretsManager,
        pipes_glue: PipesGlue,
        pipes_emr_serverless: PipesEmrServerless,
    ) -> None:
        ran.append("body")
        for resource in (athena, secrets, pipes_glue, pipes_emr_serverless):
            with pytest.raises(ConfigurationError, match=r"AWS_REGION|MEDPIPE_LAKE"):
                resource.get_client()

    assert materialise(careful).success and ran == ["body"]


@pytest.mark.parametrize(
    "resource",
    [S3(profile_name="other"), SecretsManager(aws_secret_access_key="x"), Athena(aws_access_key_id="x")],
)
def test_what_only_the_environment_can_say_is_refused_and_not_ignored(resource: Any) -> None:
    with pytest.raises(ConfigurationError, match="environment"):
        resource.get_client()


def test_a_secret_is_read_from_the_environment_before_the_service(account: None, monkeypatch: Any) -> None:
    secrets = SecretsManager()
    secrets.get_client().create_secret(Name="medpipe/api", SecretString="of the service")
    assert secrets.read("medpipe/api").reveal() == "of the service"
    monkeypatch.setenv("MEDPIPE_SECRET_MEDPIPE_API", "of the environment")
    assert secrets.read("medpipe/api").reveal() == "of the environment"


# --- Athena -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def aws_settings() -> dict[str, Any]:
    return {"workgroups": {"primary": WorkGroup(output_location="s3://clinic/results/")}}


def test_results_of_athena_come_with_nulls_and_line_breaks(aws: Aws) -> None:
    aws.client("s3").create_bucket(Bucket="clinic")
    athena = Athena(polling_interval=0)
    found = athena.get_client().execute_query("SELECT 1 AS n, NULL AS nothing, 'a\nb' AS text", fetch_results=True)
    assert found == [("1", None, "a\nb")]
    with pytest.raises(AthenaError):
        athena.get_client().execute_query("SELECT * FROM nowhere")


# --- Pipes ------------------------------------------------------------------------------------------------------------

Reports = Callable[[dict[str, Any]], None]


@pytest.fixture
def glue(s3: Any, monkeypatch: pytest.MonkeyPatch) -> PipesGlue:
    """Glue with a job whose script reports a row count as it is started."""
    monkeypatch.setenv("MEDPIPE_LAKE", "s3://clinic/lake")
    pipes = PipesGlue()
    client = pipes.clients().client("glue")
    client.create_job(Name="big", Role="r", Command={"Name": "glueetl", "ScriptLocation": "s3://clinic/big.py"})

    def script(params: dict[str, Any], **_: Any) -> None:
        arguments = params["Arguments"]
        context = decode_param(arguments["--dagster-pipes-context"])
        told = json.loads(s3.get_object(Bucket=context["bucket"], Key=context["key"])["Body"].read())
        to = decode_param(arguments["--dagster-pipes-messages"])
        metadata = {"rows": {"raw_value": 7, "type": "int"}}
        report = {"asset_key": told["asset_keys"][0], "metadata": metadata, "data_version": None}
        messages = [
            {"__dagster_pipes_version": "0.1", "method": method, "params": params}
            for method, params in (("opened", {}), ("report_asset_materialization", report), ("closed", {}))
        ]
        body = "\n".join(map(json.dumps, messages))
        s3.put_object(Bucket=to["bucket"], Key=f"{to['key_prefix']}/1.json", Body=body.encode())

    client.meta.events.register("provide-client-params.glue.StartJobRun", script)
    return pipes


def test_a_second_glue_job_of_a_process_reports_as_the_first_does(glue: PipesGlue, s3: Any) -> None:
    def job(name: str) -> Any:
        @dg.asset(name=name)
        def run(context: dg.AssetExecutionContext, pipes_glue: PipesGlue) -> dg.MaterializeResult:
            done = glue.get_client().run(context=context, start_job_run_params={"JobName": "big"})
            return done.get_materialize_result()

        return run

    result = materialise(job("first"), job("second"))
    reported = [event.materialization.metadata["rows"].value for event in result.get_asset_materialization_events()]
    assert reported == [7, 7]
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="clinic")["Contents"]]
    assert keys and all(key.startswith("lake/staging/pipes/") for key in keys)
