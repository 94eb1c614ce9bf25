/* contract_result.h: the table etl.contract_result, and what contracts count in etl.batch. */
#ifndef ETL_CONTRACT_RESULT_H
#define ETL_CONTRACT_RESULT_H

#include "catalog/contract.h"

/* One promise at one time that it was due. */
typedef struct EtlContractResult
{
	int64 contract_id;
	const char *promise;
	TimestampTz due_at;
	bool is_judged; /* false: there is nothing to compare with yet */
	bool kept;
	const char *expected;
	const char *measured;
	bool has_value;
	double value;
	int64 run_id; /* 0: not about a run */
	int64 task_id;
	int64 task_run_id;
} EtlContractResult;

/* What came of a source. */
typedef struct EtlArrived
{
	int64 rows;
	TimestampTz first; /* DT_NOBEGIN: nothing came */
} EtlArrived;

/* The median of the runs or days before. */
typedef struct EtlContractMedian
{
	int64 n;
	double rows;
} EtlContractMedian;

/* Stores a result; what is there for the same run, or broken for the same time, is written over only if it is worse or the same run. */
extern void etl_contract_result_put(const EtlContractResult *result);

/* Says whether a promise is broken that is not kept again. */
extern bool etl_contract_result_open(int64 contract_id, const char *promise);

/* Says whether there is a result for a time. */
extern bool etl_contract_result_exists(int64 contract_id, const char *promise, TimestampTz due_at);

/* Says whether an attempt has broken the promise of columns. */
extern bool etl_contract_result_broken_by(int64 contract_id, int64 task_run_id);

/* The promise is kept again: marks what was broken, and the alerts. Returns since when it was broken; DT_NOBEGIN: it was not. */
extern TimestampTz etl_contract_result_recover(int64 contract_id, const char *promise);

/* The rows of a source in a stretch of time: after, up to. */
extern EtlArrived etl_contract_result_arrived(const char *source, TimestampTz after, TimestampTz until);

/* The rows that an extract has appended in a run. */
extern int64 etl_contract_result_rows(int64 task_id, int64 run_id);

/* The batches of an extract in a run, and when the first of them was begun. */
typedef struct EtlContractRows
{
	char *batches; /* numbers, separated by commas; empty: none */
	char *since;
} EtlContractRows;

extern EtlContractRows etl_contract_result_batches(int64 task_id, int64 run_id);

/* The median of the last 7 results about volume, of a task or (0) of days, without those of a run. */
extern EtlContractMedian etl_contract_result_median(int64 contract_id, int64 task_id, int64 run_id);

/* The time of the newest row of a source that its extracts know; DT_NOBEGIN: none. */
extern TimestampTz etl_contract_result_newest(const EtlContract *contract);

#endif /* ETL_CONTRACT_RESULT_H */
