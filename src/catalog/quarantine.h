/*
 * quarantine.h
 *		etl.quarantine: rows that a target could not take, with the reason.
 *
 * The rows come as JSON values that were made with the rights of the load's owner: making them may call casts of user
 * defined types, which must not run with the rights of the extension's owner.
 */
#ifndef ETL_QUARANTINE_H
#define ETL_QUARANTINE_H

#include "etl_ext.h"

typedef struct EtlQuarantine
{
	int64 pipeline_id;
	int64 task_id;
	int64 run_id;
	int64 task_run_id;
	const char *target;		 /* as in EtlTask.target */
	const char *reason;		 /* message of the refusal */
	const char *sqlstate;	 /* five characters */
	const char *column_name; /* or NULL: not known */
	const char *origin;		 /* extract: where the record came from */
	int64 position;			 /* in origin; -1: not known. Of a load it does not count */
	const char *value;		 /* of the column, as it came; NULL: not known */
} EtlQuarantine;

/* Puts rows aside, a JSON array with one object per row; returns their number. */
extern int64 etl_quarantine_insert(const EtlQuarantine *quarantine, const Jsonb *rows);

/* Puts one record of an extract aside; returns 1. */
extern int64 etl_quarantine_insert_record(const EtlQuarantine *quarantine, const Jsonb *record);

/* The next rows that a load put aside in a run because they were late, as an array of at most limit, above number *after,
 * which is moved; NULL: there are no more. */
extern Jsonb *etl_quarantine_late(int64 task_id, int64 run_id, int64 *after, int limit);

/* Deletes them: they are in the target now. */
extern void etl_quarantine_forget_late(int64 task_id, int64 run_id);

#endif /* ETL_QUARANTINE_H */
