"""The actions that moto's requests are read as."""

import pytest

from medpipe_tests.aws_double.fixtures import Aws
from medpipe_tests.aws_double.moto_server import action_of


@pytest.mark.parametrize(
    ("method", "path", "query", "action"),
    [
        ("GET", "/", {}, "s3:ListAllMyBuckets"),
        ("GET", "/papers", {"list-type": "2"}, "s3:ListBucket"),
        ("HEAD", "/papers", {}, "s3:ListBucket"),
        ("GET", "/papers", {"versions": ""}, "s3:ListBucketVersions"),
        ("GET", "/papers/a%2Fb.pdf", {}, "s3:GetObject"),
        ("HEAD", "/papers/a", {"versionId": "1"}, "s3:GetObjectVersion"),
        ("PUT", "/papers/a", {}, "s3:PutObject"),
        ("PUT", "/papers/a", {"partNumber": "1", "uploadId": "u"}, "s3:PutObject"),
        ("DELETE", "/papers/a", {"uploadId": "u"}, "s3:AbortMultipartUpload"),
        ("DELETE", "/papers/a", {}, "s3:DeleteObject"),
        ("POST", "/papers", {"delete": ""}, "s3:DeleteObject"),
    ],
)
def test_requests_of_s3_are_read_as_the_permissions_they_need(
    method: str, path: str, query: dict[str, str], action: str
) -> None:
    assert action_of("s3", method, path, query, "", "") == action


def test_actions_of_other_services_are_noted_too(aws: Aws) -> None:
    queue = aws.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    aws.client("sqs").receive_message(QueueUrl=queue)
    aws.client("sns").create_topic(Name="t")
    aws.client("secretsmanager").list_secrets()
    aws.client("kms").list_keys()
    aws.client("glue").get_databases()
    assert aws.actions == {
        "sqs:CreateQueue": 1,
        "sqs:ReceiveMessage": 1,
        "sns:CreateTopic": 1,
        "secretsmanager:ListSecrets": 1,
        "kms:ListKeys": 1,
        "glue:GetDatabases": 1,
    }
