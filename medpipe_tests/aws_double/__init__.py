"""A strict stand-in for the AWS services that moto does not have: Textract, Translate, Comprehend Medical, Athena.

It answers over HTTP (`server`) or inside a client (`attach`), refuses what AWS refuses, and never answers what the
service model does not allow. See `standing.stand_up` to get one, `fixtures.aws` in tests.
"""
