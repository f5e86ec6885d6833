-- table: detail_tables
-- row: an event of an enrollment
-- description: Enrollment events with their length, why they ended, how they ended, and how far their group's members
--     have reassigned their benefits to it. Reason codes are NPPES's, those of 42 CFR 424.535(a) and 424.540(a), and
--     plain words; see the contract.
-- partition_by: state, status
-- column as_of_date date: the day from which durations and ages are counted
-- column event_id varchar: the event's id
-- column event_type varchar: what happened: Enrollment, Reassignment, Change, Revalidation, Reactivation, Deactivation,
--     Revocation, Termination, Practice location, Secondary specialty, Additional NPI or Other
-- column npi varchar: National Provider Identifier; of the enrollment where the record has none of its own
-- column enrollment_id varchar: PECOS enrollment id
-- column group_id varchar: the group that is billed through
-- column specialty varchar: specialty or provider type
-- column city varchar: city
-- column state varchar: USPS code of the state; of the enrollment where the record has none of its own; UNKNOWN where
--     none is valid
-- column zip_code varchar: ZIP code, 5 or 9 digits
-- column status varchar: Active, Deactivated, Revoked, Terminated, Pending or Unknown
-- column enrolled_on date: first day of the enrollment
-- column terminated_on date: day on which it ended; null while it lasts
-- column enrollment_duration_days bigint: days from the first to the last, or to the as-of date; null where it is not
--     known, still to come, or ends before it begins
-- column reason_code varchar: why it ended or changed, as stated
-- column reason varchar: what the code means; 'Unknown reason' for a code that is in no list, null without a code
-- column termination_type varchar: Voluntary, Involuntary, Administrative, Death or Unspecified; null where nothing has
--     ended
-- column is_reassigned boolean: whether benefits are reassigned to the group
-- column group_reassignment_rate double: share of the group's events in which benefits are reassigned to it; null
--     without a group
-- column is_recent_enrollment boolean: whether it began less than 180 days before the as-of date; null where the day is
--     not known
-- column is_stale_record boolean: whether its newest date is more than 5 years before the as-of date; null where it has
--     none
-- column last_updated date: day on which the record was last changed, where the source says so
-- column dq_has_npi boolean: whether the NPI is known
-- column dq_has_state boolean: whether the state is valid
-- column dq_has_enrollment_date boolean: whether the first day is known
-- column dq_dates_in_order boolean: whether it does not end before it begins
-- column dq_reason_is_known boolean: whether its reason code is in a list; null without one
-- column _pipeline_execution_id varchar: run that loaded the record
-- column _pipeline_ingested_at timestamp: when it was loaded (UTC)
-- column _pipeline_source_file varchar phi: file that it came from
with reasons (reason_key, reason, termination_type) as (
    values
        ('DT', 'Death', 'Death'),
        ('DB', 'Disbandment', 'Voluntary'),
        ('FR', 'Fraud', 'Involuntary'),
        ('OT', 'Other', 'Administrative'),
        ('424540A1', 'No claims submitted in the time prescribed', 'Administrative'),
        ('424540A2', 'Change of information not reported in time', 'Administrative'),
        ('424540A3', 'Complete and accurate information not furnished in time', 'Administrative'),
        ('424540A4', 'Not in compliance with enrollment requirements', 'Administrative'),
        ('424540A5', 'Practice location not operational', 'Administrative'),
        ('424540A6', 'Death', 'Death'),
        ('424540A7', 'Voluntary withdrawal', 'Voluntary'),
        ('424540A8', 'Seller in a change of ownership', 'Administrative'),
        ('424535A1', 'Noncompliance with enrollment requirements', 'Involuntary'),
        ('424535A2', 'Provider or supplier conduct: exclusion or debarment', 'Involuntary'),
        ('424535A3', 'Felony conviction', 'Involuntary'),
        ('424535A4', 'False or misleading information', 'Involuntary'),
        ('424535A5', 'On-site review: not operational', 'Involuntary'),
        ('424535A6', 'Screening requirements not met', 'Involuntary'),
        ('424535A7', 'Misuse of billing number', 'Involuntary'),
        ('424535A8', 'Abuse of billing privileges', 'Involuntary'),
        ('424535A9', 'Failure to report', 'Involuntary'),
        ('424535A10', 'Failure to document or provide access to documentation', 'Involuntary'),
        ('424535A11', 'Initial reserve operating funds', 'Involuntary'),
        ('424535A12', 'Termination by Medicaid or another federal programme', 'Involuntary'),
        ('424535A13', 'Prescribing authority', 'Involuntary'),
        ('424535A14', 'Improper prescribing practices', 'Involuntary'),
        ('424535A17', 'Debt referred to the Treasury', 'Involuntary'),
        ('424535A18', 'Revoked under another name, number or identity', 'Involuntary'),
        ('424535A19', 'Affiliation that poses an undue risk', 'Involuntary'),
        ('424535A20', 'Billing from a location that does not comply', 'Involuntary'),
        ('424535A21', 'Abusive ordering, certifying, referring or prescribing', 'Involuntary'),
        ('424535A22', 'Patient harm', 'Involuntary'),
        ('DEATH', 'Death', 'Death'),
        ('DECEASED', 'Death', 'Death'),
        ('RETIRED', 'Retirement', 'Voluntary'),
        ('RETIREMENT', 'Retirement', 'Voluntary'),
        ('RESIGNED', 'Resignation', 'Voluntary'),
        ('MOVED', 'Relocation', 'Voluntary'),
        ('RELOCATED', 'Relocation', 'Voluntary'),
        ('VOLUNTARY', 'Voluntary withdrawal', 'Voluntary'),
        ('WITHDRAWN', 'Voluntary withdrawal', 'Voluntary'),
        ('VOLUNTARYWITHDRAWAL', 'Voluntary withdrawal', 'Voluntary'),
        ('DISBANDMENT', 'Disbandment', 'Voluntary'),
        ('INVOLUNTARY', 'Involuntary termination', 'Involuntary'),
        ('FRAUD', 'Fraud', 'Involuntary'),
        ('FELONY', 'Felony conviction', 'Involuntary'),
        ('EXCLUSION', 'Exclusion or debarment', 'Involuntary'),
        ('REVOKED', 'Revocation', 'Involuntary'),
        ('NONCOMPLIANCE', 'Noncompliance with enrollment requirements', 'Involuntary'),
        ('LICENSE', 'Loss of licence', 'Involuntary'),
        ('NONBILLING', 'No claims submitted in the time prescribed', 'Administrative'),
        ('NORESPONSE', 'Complete and accurate information not furnished in time', 'Administrative'),
        ('REVALIDATION', 'Revalidation not answered', 'Administrative'),
        ('ADMINISTRATIVE', 'Administrative termination', 'Administrative'),
        ('OTHER', 'Other', 'Administrative')
),
completed as (
    select
        *,
        max(case when event_type = 'Enrollment' then npi end) over (partition by enrollment_id) as npi_of_enrollment,
        max(case when event_type = 'Enrollment' and state <> 'UNKNOWN' then state end)
            over (partition by enrollment_id) as state_of_enrollment,
        case
            when group_id is not null then
                cast(sum(case when is_reassigned then 1 else 0 end) over (partition by group_id) as double)
                / cast(count(*) over (partition by group_id) as double)
        end as group_reassignment_rate,
        terminated_on <= :as_of or status in ('Deactivated', 'Revoked', 'Terminated') as has_ended,
        terminated_on is null or enrolled_on is null or terminated_on >= enrolled_on as dq_dates_in_order,
        greatest(
            coalesce(last_updated, date '0001-01-01'),
            coalesce(terminated_on, date '0001-01-01'),
            coalesce(enrolled_on, date '0001-01-01')
        ) as newest_date
    from enrollment_events
),
placed as (
    select
        *,
        coalesce(npi, case when enrollment_id is not null then npi_of_enrollment end) as known_npi,
        case when state = 'UNKNOWN' and enrollment_id is not null then coalesce(state_of_enrollment, state)
        else state end as known_state
    from completed
)
select
    :as_of as as_of_date,
    e.event_id,
    e.event_type,
    e.known_npi as npi,
    e.enrollment_id,
    e.group_id,
    e.specialty,
    e.city,
    e.known_state as state,
    e.zip_code,
    e.status,
    e.enrolled_on,
    e.terminated_on,
    case
        when e.dq_dates_in_order and e.enrolled_on <= :as_of then
            date_diff('day', e.enrolled_on, least(coalesce(e.terminated_on, :as_of), :as_of))
    end as enrollment_duration_days,
    e.reason_code,
    case when e.reason_code is not null then coalesce(r.reason, 'Unknown reason') end as reason,
    case when e.has_ended then coalesce(r.termination_type, 'Unspecified') end as termination_type,
    e.is_reassigned,
    e.group_reassignment_rate,
    e.enrolled_on > date_add('day', -180, :as_of) and e.enrolled_on <= :as_of as is_recent_enrollment,
    case when e.newest_date > date '0001-01-01' then e.newest_date < date_add('year', -5, :as_of) end
        as is_stale_record,
    e.last_updated,
    e.known_npi is not null as dq_has_npi,
    e.known_state <> 'UNKNOWN' as dq_has_state,
    e.enrolled_on is not null as dq_has_enrollment_date,
    e.dq_dates_in_order,
    case when e.reason_code is not null then r.reason is not null end as dq_reason_is_known,
    e._pipeline_execution_id,
    e._pipeline_ingested_at,
    e._pipeline_source_file
from placed e
left join reasons r on r.reason_key = e.reason_key
