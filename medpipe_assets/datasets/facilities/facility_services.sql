-- table: facility_services
-- row: a service that a facility offers
-- description: The services of each facility, one a row, for joins. Blank entries are left out.
-- column facility_id varchar: the facility's id
-- column facility_name varchar: the facility's name
-- column state varchar: USPS code of the state; UNKNOWN where none is valid
-- column service_position bigint: its place in the facility's list, from 1
-- column service varchar: the service, as the facility names it, without spaces around it
select
    f.facility_id,
    f.facility_name,
    f.state,
    s.service_position,
    trim(s.service) as service
from facilities f
cross join unnest(f.services) with ordinality as s (service, service_position)
where trim(s.service) <> ''
