-- One row a document and asserted code, for documents that are the latest of at least one source.
-- The evidence is the first asserted mention in reading order that has the code among its candidates.
-- A code that is not accepted is here only as the best that some mention has: for a person to judge. Others stay in
-- icd10_mappings and document_codes.
with supported as (
    select
        m.document_id,
        m.ingest_date,
        m.code_system,
        m.code,
        m.rank,
        m.description,
        m.billable,
        m.review,
        m.code_set_version,
        e.entity_id,
        e.text,
        element_at(e.source_spans, 1).page as page,
        element_at(e.source_spans, 1)."begin" as span_begin,
        element_at(e.source_spans, cardinality(e.source_spans))."end" as span_end,
        row_number() over (
            partition by m.document_id, m.code_system, m.code
            order by m.rank, element_at(e.source_spans, 1).page, element_at(e.source_spans, 1)."begin", e.entity_id
        ) as evidence_rank,
        count(*) over (partition by m.document_id, m.code_system, m.code) as mentions
    from icd10_mappings m
    join entities e on e.document_id = m.document_id and e.entity_id = m.entity_id
    where m.asserted and cardinality(e.source_spans) > 0
)
select
    s.document_id,
    s.ingest_date,
    s.code_system,
    s.code,
    s.description,
    c.probability,
    c.accepted,
    s.billable,
    s.review,
    s.mentions,
    s.entity_id as evidence_entity_id,
    s.text as evidence_text,
    s.page as evidence_page,
    s.span_begin as evidence_begin,
    s.span_end as evidence_end,
    s.code_set_version
from supported s
join document_codes c on c.document_id = s.document_id and c.code_system = s.code_system and c.code = s.code
join current_documents d on d.document_id = s.document_id
where s.evidence_rank = 1 and c.asserted and (c.accepted or s.rank = 1)
