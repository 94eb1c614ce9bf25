/*
 * history.h
 *		Dimensions: mode scd2 (type 2, "a row for each version"), surrogate keys, the unknown and the inferred member.
 *
 * Invariants of a target in mode scd2: each row is a version of its key that was valid in [valid_from, valid_to); the
 * versions of a key do not overlap; at most one of them is_current, which is the one with valid_to = infinity. The row with
 * surrogate -1 is the unknown member: it has no key and no load touches it. A row with is_inferred was made for a fact
 * that came early; only its key is known, and the first version of the key completes it in place.
 */
#ifndef ETL_HISTORY_H
#define ETL_HISTORY_H

#include "load/delta.h"
#include "load/plan.h"
#include "utils/relcache.h"

/* Columns of a dimension that etl_ext keeps beside those of the query. */
#define ETL_VALID_FROM "valid_from"
#define ETL_VALID_TO "valid_to"
#define ETL_IS_CURRENT "is_current"
#define ETL_IS_INFERRED "is_inferred"

/* What mode scd2 adds to a plan. */
typedef struct EtlHistory
{
	int time;		/* position of the effective time, the first column of order_by; -1: the start of the run */
	Oid time_type;	/* of valid_from: date, timestamp or timestamptz */
	bool *is_type1; /* by position: a change overwrites all versions of the key */
	int n_type1;
	bool *is_tracked; /* by position: a change begins a version */
} EtlHistory;

/* Checks mode scd2, track and surrogate_key; sets plan->history. Errors: 22023, 42703, 42701, 42939, 0A000. */
extern void etl_history_resolve(EtlPlan *plan);

/* The CREATE TABLE for a new target that has a surrogate key; name: without its schema. */
extern char *etl_history_table_sql(const EtlPlan *plan, const char *table, const char *name);

/* Adds to a new target what CREATE TABLE does not: constraints, comments, the unknown member, the as-of view. */
extern void etl_history_complete(const EtlPlan *plan, const char *schema, const char *name);

/* Whether etl_ext itself gives a value to this column of the target. */
extern bool etl_history_sets(const EtlPlan *plan, const char *column);

/* Checks that the target can keep versions; sets plan->surrogate, plan->has_inferred and the type of the time. */
extern void etl_history_match(EtlPlan *plan, Relation relation);

/* Refuses a target of which versions of a key overlap. Errors: 23P01. Reads the whole target. */
extern void etl_history_check_rows(const EtlPlan *plan);

/* Adds what etl.validate should say about the target. */
extern List *etl_history_problems(List *problems, const EtlPlan *plan);

/* Evaluates the query of the delta and brings its versions and delete markers into the target. Sets delta->images. */
extern void etl_history_run(EtlDelta *delta);

/* Statements (char *) that a run would execute on a delta. */
extern List *etl_history_explain(const EtlPlan *plan, const char *query);

#endif /* ETL_HISTORY_H */
