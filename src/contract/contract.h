/*
 * contract.h
 *		Contracts of sources: whether promises are kept, and who is told when they are not.
 *
 * What a run decides (volume per run, columns) is judged in the transaction of the extract; what a clock decides
 * (arrival, freshness, volume per day) by extracts and, while nothing runs, by the scheduler.
 */
#ifndef ETL_CONTRACT_H
#define ETL_CONTRACT_H

#include "catalog/contract_result.h"
#include "source/drift.h"
#include "worker/attempt.h"

/* Checks a contract and brings its columns into one form. Errors: 22023, 42704. */
extern void etl_contract_check(EtlContract *contract);

/* Lets its clocks begin, or go on after a change. */
extern void etl_contract_begin(EtlContract *contract);

/* Records a result, and raises the alert that belongs to it; whether the promise is newly broken. */
extern bool etl_contract_tell(const EtlContract *contract, const EtlContractResult *result);

/* The promise is kept again, at a time when it was not due: tells so if it was broken. */
extern void etl_contract_tell_recovered(const EtlContract *contract, const char *promise, const char *why);

/* The columns that a source has now, as an extract sees them before it reads. Ends the step when they break the promise. */
extern void etl_contract_see_columns(EtlExtract *extract, const EtlDriftColumns *columns);

/* An extract has ended well: in its last step. */
extern void etl_contract_extracted(EtlAttempt *attempt);

/* The rows that an extract has appended: counts NULLs where none were promised. */
extern void etl_contract_see_rows(const EtlContract *contract, EtlAttempt *attempt);

/* Judges what was due up to now; the contract is locked. Returns the number of promises that are newly broken. */
extern int etl_contract_judge(EtlContract *contract, TimestampTz now);

/* Judges all contracts that are due, each in a step of its own. Returns when to come again. */
extern TimestampTz etl_contract_step(TimestampTz now);

/* The next moment that a cron expression or time of day names, and the one before; in the zone of the contract. */
extern TimestampTz etl_contract_next_due(const char *arrival, const char *timezone, TimestampTz after);
extern TimestampTz etl_contract_due_before(const char *arrival, const char *timezone, TimestampTz due);

#endif /* ETL_CONTRACT_H */
