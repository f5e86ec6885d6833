-- table: practices
-- row: an active practice
-- description: Practices with size, Census region and whether they have more than one specialty. What a practice is,
--     and the bounds of the sizes, are in the contract.
-- partition_by: state
-- column practice_id varchar: the practice's id; in DAC a PAC id, in PPEF an enrollment id
-- column practice_name varchar: the practice's name; for one of a person without a name of its own, the person's
-- column practice_npi varchar: its National Provider Identifier, where the source has one
-- column practice_size bigint: clinicians, as stated, else members seen; null where neither is known
-- column practice_size_category varchar: Solo (1), Small (2 to 10), Medium (11 to 49), Large (50 to 199), Enterprise
--     (200 and more)
-- column members_seen bigint: members with a record of their own
-- column specialties bigint: different specialties of its members, or listed for it
-- column is_multi_specialty boolean: whether it has more than one specialty; null where none is known
-- column address varchar: street and number
-- column city varchar: city
-- column state varchar: USPS code of the state of most of its records; UNKNOWN where none is valid
-- column zip_code varchar: ZIP code, 5 or 9 digits
-- column census_region varchar: Northeast, Midwest, South or West (Census Bureau), or Territories; null for UNKNOWN
-- column phone varchar: telephone number
-- column last_updated date: newest day on which one of its records was changed, where a source says so
-- column dq_has_name boolean: whether a name is known
-- column dq_has_size boolean: whether a size is known
-- column dq_has_specialty boolean: whether a specialty is known
-- column dq_has_state boolean: whether the state is valid
-- column _pipeline_execution_id varchar: run that loaded its newest record
-- column _pipeline_ingested_at timestamp: when its newest record was loaded (UTC)
-- column _pipeline_source_file varchar phi: file of the record that gave the state
with reassigned as (
    select distinct record_detail as enrollment_id
    from practice_records
    where record_kind = 'reassignment'
),
own_records as (
    select
        r.*,
        count(*) over (partition by r.practice_id, r.state) as records_of_state
    from practice_records r
    left join reassigned m on m.enrollment_id = r.practice_id
    where m.enrollment_id is null
),
ranked as (
    select
        *,
        row_number() over (
            partition by practice_id
            order by
                case when state = 'UNKNOWN' then 1 else 0 end,
                records_of_state desc,
                state,
                last_updated desc nulls last,
                record_kind,
                record_detail
        ) as place
    from own_records
),
named_specialties as (
    select practice_id, specialty
    from practice_records
    where specialty is not null
    union
    select m.practice_id, s.specialty
    from practice_records m
    join practice_records s on s.practice_id = m.record_detail
    where m.record_kind = 'reassignment' and s.specialty is not null
),
specialty_counts as (
    select practice_id, count(*) as specialties
    from named_specialties
    group by practice_id
),
merged as (
    select
        practice_id,
        min_by(practice_name, place) filter (where practice_name is not null) as practice_name,
        min_by(concat_ws(' ', first_name, last_name), place) filter (where last_name is not null) as person_name,
        min_by(practice_npi, place) filter (where practice_npi is not null) as practice_npi,
        min_by(practice_size, place) filter (where practice_size is not null) as stated_size,
        nullif(count_if(record_kind in ('member', 'reassignment')), 0) as members_seen,
        max(listed_specialties) as listed_specialties,
        bool_or(stated_multi_specialty) as stated_multi_specialty,
        min_by(address, place) filter (where city is not null or zip_code is not null) as address,
        min_by(city, place) filter (where city is not null or zip_code is not null) as city,
        min_by(zip_code, place) filter (where city is not null or zip_code is not null) as zip_code,
        min_by(phone, place) filter (where phone is not null) as phone,
        min_by(state, place) as state,
        max(last_updated) as last_updated,
        max_by(_pipeline_execution_id, _pipeline_ingested_at) as _pipeline_execution_id,
        max(_pipeline_ingested_at) as _pipeline_ingested_at,
        min_by(_pipeline_source_file, place) as _pipeline_source_file
    from ranked
    group by practice_id
),
counted as (
    select
        m.*,
        coalesce(m.stated_size, m.members_seen) as practice_size,
        greatest(coalesce(s.specialties, 0), coalesce(m.listed_specialties, 0)) as specialties
    from merged m
    left join specialty_counts s on s.practice_id = m.practice_id
)
select
    practice_id,
    coalesce(practice_name, person_name) as practice_name,
    practice_npi,
    practice_size,
    case
        when practice_size >= 200 then 'Enterprise'
        when practice_size >= 50 then 'Large'
        when practice_size >= 11 then 'Medium'
        when practice_size >= 2 then 'Small'
        when practice_size = 1 then 'Solo'
    end as practice_size_category,
    coalesce(members_seen, 0) as members_seen,
    specialties,
    coalesce(stated_multi_specialty, case when specialties > 0 then specialties > 1 end) as is_multi_specialty,
    address,
    city,
    state,
    zip_code,
    case
        when state in ('CT', 'ME', 'MA', 'NH', 'RI', 'VT', 'NJ', 'NY', 'PA') then 'Northeast'
        when state in ('IL', 'IN', 'MI', 'OH', 'WI', 'IA', 'KS', 'MN', 'MO', 'NE', 'ND', 'SD') then 'Midwest'
        when state in (
            'DE', 'DC', 'FL', 'GA', 'MD', 'NC', 'SC', 'VA', 'WV', 'AL', 'KY', 'MS', 'TN', 'AR', 'LA', 'OK', 'TX'
        ) then 'South'
        when state in ('AZ', 'CO', 'ID', 'MT', 'NV', 'NM', 'UT', 'WY', 'AK', 'CA', 'HI', 'OR', 'WA') then 'West'
        when state in ('PR', 'VI', 'GU', 'AS', 'MP', 'FM', 'MH', 'PW') then 'Territories'
    end as census_region,
    phone,
    last_updated,
    coalesce(practice_name, person_name) is not null as dq_has_name,
    practice_size is not null as dq_has_size,
    specialties > 0 as dq_has_specialty,
    state <> 'UNKNOWN' as dq_has_state,
    _pipeline_execution_id,
    _pipeline_ingested_at,
    _pipeline_source_file
from counted
