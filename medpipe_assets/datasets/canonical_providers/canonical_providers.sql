-- table: canonical_providers
-- row: a provider
-- description: The golden record of each NPI over all sources. Each part is that of the first record that has it, in
--     the order of sources and dates that the contract states.
-- partition_by: state
-- column npi varchar: National Provider Identifier, 10 digits
-- column npi_valid boolean: whether it begins with 1 or 2 and its check digit is right
-- column entity_type varchar: individual or organization; null where no source tells
-- column display_name varchar: a person's names and credential, an organisation's name; 'NPI <number>' where no source
--     has a name
-- column first_name varchar: first name
-- column middle_name varchar: middle name or initial
-- column last_name varchar: last name
-- column suffix varchar: suffix of the name
-- column credential varchar: credential as stated
-- column organization_name varchar: name of an organisation
-- column gender varchar: gender as stated
-- column specialty varchar: primary specialty or provider type
-- column taxonomy_code varchar: NUCC Health Care Provider Taxonomy code
-- column address varchar: street and number
-- column city varchar: city
-- column state varchar: USPS code of the state; UNKNOWN where none is valid
-- column zip_code varchar: ZIP code, 5 or 9 digits
-- column phone varchar: telephone number
-- column enrollment_id varchar: newest Medicare enrollment
-- column enrollment_date date: its day
-- column enumeration_date date: day on which the NPI was assigned
-- column deactivated_on date: day on which the NPI was deactivated, where it is
-- column is_active boolean: whether neither the NPI is deactivated nor the provider's status another than active
-- column medicare boolean: whether it takes part in Medicare, as far as a source says
-- column medicaid boolean: whether it takes part in Medicaid, as far as a source says
-- column telehealth boolean: whether it offers telehealth, as far as a source says
-- column participation_score integer: how many of Medicare, Medicaid and telehealth, 0 to 3; 0 where it is not active
-- column participation_tier varchar: Full (3), Partial (2), Limited (1), None (0)
-- column sources varchar: whose records there are, in order of their names, joined by '+'
-- column records bigint: how many
-- column last_updated date: newest day on which a source changed its record, where one says so
-- column dq_has_specialty boolean: whether a specialty or taxonomy code is known
-- column dq_has_state boolean: whether the state is valid
-- column dq_has_name boolean: whether a name is known
-- column dq_knows_medicare boolean: whether any source speaks of Medicare
-- column dq_knows_medicaid boolean: whether any source speaks of Medicaid
-- column dq_knows_telehealth boolean: whether any source speaks of telehealth
-- column dq_sources_agree boolean: whether no two records have different last names, or names of organisations
-- column _pipeline_execution_id varchar: run that loaded its newest record
-- column _pipeline_ingested_at timestamp: when its newest record was loaded (UTC)
-- column _pipeline_source_file varchar phi: file of the record that goes before all others
with ranked as (
    select
        *,
        row_number() over (
            partition by npi
            order by
                case record_source when 'NPPES' then 1 when 'PPEF' then 2 when 'DAC' then 3 else 4 end,
                last_updated desc nulls last,
                enrollment_date desc nulls last,
                record_source,
                record_id desc
        ) as place,
        row_number() over (
            partition by npi
            order by enrollment_date desc nulls last, record_id desc, record_source
        ) as enrollment_place,
        row_number() over (
            partition by npi
            order by
                case when state <> 'UNKNOWN' and city is not null then 1 when state <> 'UNKNOWN' then 2 else 3 end,
                case record_source when 'NPPES' then 1 when 'PPEF' then 2 when 'DAC' then 3 else 4 end,
                last_updated desc nulls last,
                enrollment_date desc nulls last,
                record_source,
                record_id desc
        ) as address_place
    from provider_records
),
merged as (
    select
        npi,
        bool_or(npi_valid) as npi_valid,
        min_by(is_organization, place) filter (where is_organization is not null) as is_organization,
        min_by(first_name, place) filter (where last_name is not null) as first_name,
        min_by(middle_name, place) filter (where middle_name is not null) as middle_name,
        min_by(last_name, place) filter (where last_name is not null) as last_name,
        min_by(suffix, place) filter (where suffix is not null) as suffix,
        min_by(credential, place) filter (where credential is not null) as credential,
        min_by(organization_name, place) filter (where organization_name is not null) as organization_name,
        min_by(gender, place) filter (where gender is not null) as gender,
        min_by(specialty, place) filter (where specialty is not null) as specialty,
        min_by(taxonomy_code, place) filter (where taxonomy_code is not null) as taxonomy_code,
        min_by(address, address_place) as address,
        min_by(city, address_place) as city,
        min_by(state, address_place) as state,
        min_by(zip_code, address_place) as zip_code,
        min_by(phone, place) filter (where phone is not null) as phone,
        min_by(enrollment_id, enrollment_place) filter (where enrollment_id is not null) as enrollment_id,
        min_by(enrollment_date, enrollment_place) filter (where enrollment_date is not null) as enrollment_date,
        min_by(enumeration_date, place) filter (where enumeration_date is not null) as enumeration_date,
        min_by(deactivated_on, place) filter (where is_deactivated) as deactivated_on,
        min_by(upper(status), place) filter (where status is not null) as status,
        bool_or(medicare) as medicare,
        bool_or(medicaid) as medicaid,
        bool_or(telehealth) as telehealth,
        array_join(array_sort(array_distinct(array_agg(record_source))), '+') as sources,
        count(*) as records,
        max(last_updated) as last_updated,
        count(distinct upper(last_name)) <= 1 and count(distinct upper(organization_name)) <= 1 as dq_sources_agree,
        max_by(_pipeline_execution_id, _pipeline_ingested_at) as _pipeline_execution_id,
        max(_pipeline_ingested_at) as _pipeline_ingested_at,
        min_by(_pipeline_source_file, place) as _pipeline_source_file
    from ranked
    group by npi
),
judged as (
    select
        *,
        deactivated_on is null
        and coalesce(status, 'A') in ('A', 'ACTIVE', 'APPROVED', 'ENROLLED', 'Y', 'YES', 'TRUE', '1') as is_active,
        case when is_organization then organization_name else concat_ws(' ', first_name, middle_name, last_name, suffix)
        end as own_name
    from merged
),
scored as (
    select
        *,
        case
            when is_active then
                case when medicare then 1 else 0 end
                + case when medicaid then 1 else 0 end
                + case when telehealth then 1 else 0 end
            else 0
        end as participation_score
    from judged
)
select
    npi,
    npi_valid,
    case when is_organization then 'organization' when not is_organization then 'individual' end as entity_type,
    coalesce(
        case when own_name <> '' then concat_ws(', ', own_name, case when not is_organization then credential end) end,
        organization_name,
        'NPI ' || npi
    ) as display_name,
    first_name,
    middle_name,
    last_name,
    suffix,
    credential,
    organization_name,
    gender,
    specialty,
    taxonomy_code,
    address,
    city,
    state,
    zip_code,
    phone,
    enrollment_id,
    enrollment_date,
    enumeration_date,
    deactivated_on,
    is_active,
    medicare,
    medicaid,
    telehealth,
    participation_score,
    case participation_score when 3 then 'Full' when 2 then 'Partial' when 1 then 'Limited' else 'None' end
        as participation_tier,
    sources,
    records,
    last_updated,
    coalesce(specialty, taxonomy_code) is not null as dq_has_specialty,
    state <> 'UNKNOWN' as dq_has_state,
    coalesce(last_name, organization_name) is not null as dq_has_name,
    medicare is not null as dq_knows_medicare,
    medicaid is not null as dq_knows_medicaid,
    telehealth is not null as dq_knows_telehealth,
    dq_sources_agree,
    _pipeline_execution_id,
    _pipeline_ingested_at,
    _pipeline_source_file
from scored
