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


def test_a_batch_of_messages_needs_the_permission_of_one(aws: Aws) -> None:
    queue = aws.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    aws.client("sqs").send_message_batch(QueueUrl=queue, Entries=[{"Id": "1", "MessageBody": "a"}])
    assert aws.actions == {"sqs:CreateQueue": 1, "sqs:SendMessage": 1}


def test_an_encrypted_object_needs_its_key(aws: Aws) -> None:
    s3, key = aws.client("s3"), aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket="lake")
    s3.put_object(Bucket="lake", Key="plain", Body=b"1")
    s3.get_object(Bucket="lake", Key="plain")
    assert not {"kms:GenerateDataKey", "kms:Decrypt"} & aws.actions.keys()
    s3.put_object(Bucket="lake", Key="secret", Body=b"1", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    s3.get_object(Bucket="lake", Key="secret")
    assert (aws.actions["kms:GenerateDataKey"], aws.actions["kms:Decrypt"]) == (1, 1)


def test_a_job_asks_to_hand_on_its_role_and_what_the_role_does_is_not_the_callers(aws: Aws) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="lake")
    s3.put_object(Bucket="lake", Key="in/a.txt", Body=b"diabetes")
    before = aws.actions
    medical = aws.client("comprehendmedical")
    job = medical.start_entities_detection_v2_job(
        InputDataConfig={"S3Bucket": "lake", "S3Key": "in/"},
        OutputDataConfig={"S3Bucket": "lake", "S3Key": "out/"},
        DataAccessRoleArn="arn:aws:iam::123456789012:role/batch",
        LanguageCode="en",
    )["JobId"]
    while medical.describe_entities_detection_v2_job(JobId=job)["ComprehendMedicalAsyncJobProperties"][
        "JobStatus"
    ] not in ("COMPLETED", "FAILED"):
        pass
    found = {action for action, count in aws.actions.items() if count > before[action]}
    assert found == {
        "iam:PassRole",
        "comprehendmedical:StartEntitiesDetectionV2Job",
        "comprehendmedical:DescribeEntitiesDetectionV2Job",
    }
