"""From a message on the queue to the consumer tables: what S3 says of objects is what the tables show."""

from typing import Any

import dagster as dg

from medpipe_assets.defs.documents.partitions import today
from medpipe_assets.defs.documents.sensors import sqs_inbox_sensor
from medpipe_tests.integration.conftest import NOTES, Graph
from medpipe_tests.unit.defs.conftest import TEST_EVENT, Queue, account, context_of, news, put, queue, s3

__all__ = ["account", "queue", "s3"]


def tick(graph: Graph, cursor: str | None = None) -> Any:
    """Tick the sensor, and run what it asks for, as the daemon would; gives its cursor, None where it asks nothing."""
    told = sqs_inbox_sensor(context_of(sqs_inbox_sensor, graph.instance, graph.lake, cursor))
    if not isinstance(told, dg.SensorResult):
        return None
    (request,) = told.run_requests or ()
    assert request.partition_key == today().isoformat()
    assert graph.run(today()).success
    return told.cursor


def test_the_tables_follow_the_queue_and_repeated_news_change_nothing(
    graph: Graph, s3: Any, queue: Queue
) -> None:  # fmt: skip
    first = [put(s3, name, text, 1) for name, text in NOTES.items()]
    queue.tell(TEST_EVENT, *first)
    cursor = tick(graph)
    codes = {row["code"] for row in graph.rows("diagnoses")}
    assert {"E11.9", "J18.9"} <= codes and len(graph.rows("document_summary")) == 3

    content = graph.content()
    queue.tell(*reversed(first), TEST_EVENT)
    assert tick(graph, cursor) is None
    assert graph.content() == content and queue.count() == 0

    queue.tell(news("spanish.txt", 2))
    assert tick(graph, cursor)
    assert len(graph.rows("document_summary")) == 2
    assert "E11.9" not in {row["code"] for row in graph.rows("diagnoses")}
