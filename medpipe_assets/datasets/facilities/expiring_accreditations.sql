-- table: expiring_accreditations
-- row: an accreditation
-- description: Accreditations that are valid on the as-of date and end within so many months of it, both days included.
-- results: json, csv
-- column as_of_date date: the day from which days are counted
-- column facility_id varchar: the facility's id
-- column facility_name varchar: the facility's name
-- column state varchar: USPS code of the state; UNKNOWN where none is valid
-- column accreditation_position bigint: its place in the facility's list, from 1
-- column accreditation_body varchar: who gave it
-- column accreditation_id varchar: its id, as that body gives it
-- column valid_until date: last day on which it is valid
-- column days_left bigint: days from the as-of date to the last valid day; 0 on the last day
select
    :as_of as as_of_date,
    f.facility_id,
    f.facility_name,
    f.state,
    a.accreditation_position,
    a.accreditation_body,
    a.accreditation_id,
    a.valid_until,
    date_diff('day', :as_of, a.valid_until) as days_left
from facilities f
cross join unnest(f.accreditations) with ordinality
    as a (accreditation_body, accreditation_id, valid_until, accreditation_position)
where a.valid_until >= :as_of and a.valid_until <= date_add('month', :months, :as_of)
