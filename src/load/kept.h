/*
 * kept.h
 *		Tables that other loads keep, as inputs: the log of their changes, and their rows as SQL.
 *
 * A log in the form of rows has the columns _etl_k<n>, the key of a changed row, _etl_old, whether the row was there before,
 * and then _etl_o<n>, its old values; n is the number of the column in the input. Old values are kept only where the task
 * needs them.
 */
#ifndef ETL_KEPT_H
#define ETL_KEPT_H

#include "catalog/change_log.h"
#include "load/plan.h"
#include "nodes/bitmapset.h"

/* The numbers of the columns of an input that its query uses. */
extern Bitmapset *etl_kept_columns(const EtlInput *input);

/* The columns of the log that a task needs for an input, as definitions after commas. */
extern char *etl_kept_definition(const EtlPlan *plan, const EtlInput *input, bool is_keys, bool with_old);

/* Rows of a kept input for etl_compile_replace: */
typedef enum EtlKeptRows
{
	ETL_KEPT_NEW,	  /* those that changed, as they are */
	ETL_KEPT_TOUCHED, /* and as they were */
	ETL_KEPT_BOTH	  /* all that there are, and those that changed as they were */
} EtlKeptRows;

extern Query *etl_kept_rows(const EtlInput *input, const EtlChangeLog *log, int64 after, int64 last, EtlKeptRows rows);

/* The condition on the batches of a log, for alias l. */
extern char *etl_kept_range(int64 after, int64 last);

#endif /* ETL_KEPT_H */
