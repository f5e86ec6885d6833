-- table: accredited_facilities_by_state
-- row: a state
-- description: Facilities of each state, and those with at least one accreditation that is valid on the as-of date, its
--     last valid day included.
-- results: json, csv
-- column as_of_date date: the day on which accreditations are judged
-- column state varchar: USPS code of the state; UNKNOWN where none is valid
-- column facilities bigint: all facilities of the state
-- column accredited_facilities bigint: those with at least one valid accreditation
-- column accredited_share double: accredited_facilities over facilities, 0 to 1
-- column employees bigint: people employed by all facilities whose count is known; null where none is
-- column accreditations_by_body array(row(accreditation_body varchar, accreditations bigint)): valid accreditations by
--     who gave them, in order of the names; empty where there is none
with valid as (
    select f.state, f.facility_id, trim(a.accreditation_body) as accreditation_body
    from facilities f
    cross join unnest(f.accreditations) as a (accreditation_body, accreditation_id, valid_until)
    where a.valid_until >= :as_of
),
accredited as (
    select state, count(distinct facility_id) as accredited_facilities
    from valid
    group by state
),
by_body as (
    select state, accreditation_body, count(*) as accreditations
    from valid
    where accreditation_body <> ''
    group by state, accreditation_body
),
bodies as (
    select
        state,
        array_sort(array_agg(
            cast(row(accreditation_body, accreditations) as row(accreditation_body varchar, accreditations bigint))
        )) as accreditations_by_body
    from by_body
    group by state
),
states as (
    select state, count(*) as facilities, sum(employee_count) as employees
    from facilities
    group by state
)
select
    :as_of as as_of_date,
    s.state,
    s.facilities,
    coalesce(a.accredited_facilities, 0) as accredited_facilities,
    cast(coalesce(a.accredited_facilities, 0) as double) / cast(s.facilities as double) as accredited_share,
    s.employees,
    coalesce(
        b.accreditations_by_body, cast(array[] as array(row(accreditation_body varchar, accreditations bigint)))
    ) as accreditations_by_body
from states s
left join accredited a on a.state = s.state
left join bodies b on b.state = s.state
