-- table: facility_metrics
-- row: a facility
-- description: What each facility offers and when its accreditations end. "First" is read two ways:
--     expiry_date_of_first_accreditation is that of the first accreditation in the list, earliest_accreditation_expiry
--     the earliest date of all.
-- results: json, csv
-- column facility_id varchar: the facility's id
-- column facility_name varchar: the facility's name
-- column state varchar: USPS code of the state; UNKNOWN where none is valid
-- column employee_count bigint: people employed; null where that is not known
-- column number_of_offered_services bigint: services listed, blank ones left out; 0 where there is no list
-- column expiry_date_of_first_accreditation date: last valid day of the accreditation that is listed first
-- column earliest_accreditation_expiry date: earliest last valid day of all accreditations
select
    facility_id,
    facility_name,
    state,
    employee_count,
    coalesce(cardinality(filter(services, service -> trim(service) <> '')), 0) as number_of_offered_services,
    element_at(accreditations, 1).valid_until as expiry_date_of_first_accreditation,
    array_min(filter(transform(accreditations, a -> a.valid_until), day -> day is not null))
        as earliest_accreditation_expiry
from facilities
