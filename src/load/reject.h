/*
 * reject.h
 *		Moves rows of a temporary table of an attempt to etl.quarantine.
 */
#ifndef ETL_REJECT_H
#define ETL_REJECT_H

#include "load/delta.h"

typedef struct EtlReject
{
	const char *table; /* temporary table with a column _etl_n */
	const char *reason;
	const char *sqlstate;
	const char *column;	 /* or NULL */
	const char *columns; /* what is kept of the rows, of alias s; NULL: the columns of the plan */
} EtlReject;

/* Puts the rows that meet the condition (on alias s) aside; they stay in the table. */
extern void etl_reject_rows(const EtlDelta *delta, const EtlReject *reject, const char *condition);

#endif /* ETL_REJECT_H */
