-- One row a current document: what it is, what was found, and where it stands.
with page_counts as (
    select
        document_id,
        count(*) as pages,
        count_if(method = 'ocr') as ocr_pages
    from pages
    group by document_id
),
language_counts as (
    select document_id, language, count(*) as pages, sum(length(text)) as characters
    from pages
    group by document_id, language
),
languages as (
    select document_id, array_join(array_agg(language order by characters desc, language), '+') as languages
    from language_counts
    group by document_id
),
word_counts as (select document_id, count(*) as words from words group by document_id),
entity_counts as (select document_id, count(*) as entities from entities group by document_id),
ranked_codes as (
    select document_id, code, row_number() over (partition by document_id order by probability desc, code) as place
    from diagnoses
),
code_counts as (
    select
        document_id,
        count(*) as codes,
        array_join(array_agg(code order by place) filter (where place <= 3), ', ') as top_codes
    from ranked_codes
    group by document_id
),
verdicts as (
    select
        document_id,
        count_if(outcome = 'done') as stages_done,
        max(case when outcome = 'quarantined' then stage end) as quarantined_at,
        max(case when outcome = 'quarantined' then reason end) as reason
    from stage_status_in_force
    group by document_id
)
select
    d.document_id,
    d.ingest_date,
    r.media_type,
    l.languages,
    coalesce(p.pages, 0) as pages,
    coalesce(p.ocr_pages, 0) as ocr_pages,
    coalesce(w.words, 0) as words,
    coalesce(e.entities, 0) as entities,
    coalesce(c.codes, 0) as codes,
    c.top_codes,
    case
        when v.quarantined_at is not null then 'quarantined'
        when v.stages_done is null or v.stages_done < 5 then 'pending'
        when coalesce(c.codes, 0) = 0 then 'no codes'
        else 'coded'
    end as status,
    v.quarantined_at,
    v.reason
from current_documents d
left join raw_documents r on r.document_id = d.document_id
left join page_counts p on p.document_id = d.document_id
left join languages l on l.document_id = d.document_id
left join word_counts w on w.document_id = d.document_id
left join entity_counts e on e.document_id = d.document_id
left join code_counts c on c.document_id = d.document_id
left join verdicts v on v.document_id = d.document_id
