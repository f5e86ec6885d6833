-- table: lab_certifications
-- row: a certification of a laboratory
-- description: The certifications of each facility's laboratories, one a row, for joins. Blank entries are left out,
--     and so are laboratories without certifications.
-- column facility_id varchar: the facility's id
-- column facility_name varchar: the facility's name
-- column state varchar: USPS code of the state; UNKNOWN where none is valid
-- column lab_position bigint: the laboratory's place in the facility's list, from 1
-- column lab_name varchar: the laboratory's name
-- column certification_position bigint: the certification's place in the laboratory's list, from 1
-- column certification varchar: the certification, without spaces around it
select
    f.facility_id,
    f.facility_name,
    f.state,
    l.lab_position,
    l.lab_name,
    c.certification_position,
    trim(c.certification) as certification
from facilities f
cross join unnest(f.labs) with ordinality as l (lab_name, certifications, lab_position)
cross join unnest(l.certifications) with ordinality as c (certification, certification_position)
where trim(c.certification) <> ''
