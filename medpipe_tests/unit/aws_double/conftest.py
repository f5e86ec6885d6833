"""The account that the double's own tests use."""

from medpipe_tests.aws_double.fixtures import aws, aws_settings, moto_server

__all__ = ["aws", "aws_settings", "moto_server"]
