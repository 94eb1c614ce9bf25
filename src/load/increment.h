/*
 * increment.h
 *		Which part of its inputs a run of a load or aggregate evaluates, and the SQL for it.
 *
 *		ETL_INCREMENT_WHOLE	the query as its author wrote it
 *		ETL_INCREMENT_ROWS	the union of the query with each driver in turn narrowed to what is new in it: what inner joins
 *							need, and what was there before is not evaluated again
 *		ETL_INCREMENT_KEYS	the query for those keys of the target that changed rows of the inputs touch, by their old or
 *							their new values: what aggregates need, and loads that follow deletes
 */
#ifndef ETL_INCREMENT_H
#define ETL_INCREMENT_H

#include "catalog/change_log.h"
#include "load/delta.h"
#include "load/plan.h"

typedef enum EtlIncrementKind
{
	ETL_INCREMENT_WHOLE,
	ETL_INCREMENT_ROWS,
	ETL_INCREMENT_KEYS
} EtlIncrementKind;

/* How far a run reads one input; in the order of compile->inputs. */
typedef struct EtlPosition
{
	bool is_driver;
	bool was_read; /* an earlier run has left a position */
	bool is_known; /* and all that came since then is known */
	bool is_new;   /* there is something above it */
	int64 after;
	EtlBatchRange range; /* what is new; range.last also where nothing is */
	EtlChangeLog *log;	 /* of a kept input */
} EtlPosition;

typedef struct EtlIncrement
{
	const EtlPlan *plan;
	EtlIncrementKind kind;
	EtlPosition *position;
	int64 replay_from;
	bool is_recent;		/* evaluated whole in each run: read_window counts */
	int n_new;			/* drivers with something new */
	int64 rows;			/* rows that are new, of all drivers */
	const char *reason; /* why all is read although it need not be; NULL */
} EtlIncrement;

/* How the task would be evaluated if all positions were known. */
extern EtlIncrementKind etl_increment_kind(const EtlPlan *plan);

/*
 * Reads the positions. is_full: from the start; replay_from: the first batch of the raw input that is read again, or 0; is_dry: nothing is made or locked. The result says kind and what is new.
 * Takes the locks of kept inputs where everything is read, so that nobody is in the middle of changing them.
 */
extern EtlIncrement *etl_increment_read(const EtlPlan *plan, bool is_full, int64 replay_from, bool is_dry);

/* The query for the rows of the delta. Changes plan->compile. */
extern char *etl_increment_query(EtlIncrement *increment);

/* ETL_INCREMENT_KEYS: the queries (char *) for the touched keys, with the names of the key columns. */
extern List *etl_increment_touched(const EtlIncrement *increment);

/* Writes the positions that were read, and deletes what is no longer needed of the logs. */
extern void etl_increment_keep(const EtlIncrement *increment, const EtlAttempt *attempt);

#endif /* ETL_INCREMENT_H */
