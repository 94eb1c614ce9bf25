/*
 * project.h
 *		From a row of the source's columns to the row that a sink takes: the map's expressions, the cursor and the deleted
 *		flag, evaluated by the executor as the query reader's SELECT would.
 */
#ifndef ETL_PROJECT_H
#define ETL_PROJECT_H

#include "source/reader.h"

typedef struct EtlProjection
{
	TupleTableSlot
		*input; /* virtual; attributes of the relation: fill tts_values[attnum - 1] of the source's columns */
	TupleTableSlot *output;
	struct ExprContext *context;
	struct EState *estate;
	struct ProjectionInfo *info; /* NULL: every output column is a column of the input, see copy */
	AttrNumber *copy;
	int deleted; /* index of the flag in output; -1: none */
} EtlProjection;

/* Plans the expressions for a request; in its context, in a transaction, with the author's search_path. */
extern EtlProjection *etl_project_make(const EtlReadRequest *request);

/* Evaluates for the values in projection->input and puts the result into the sink. Resets its per-row memory. */
extern void etl_project_put(EtlProjection *projection, EtlRowSink *sink);

/* Frees what hangs on executor state; raises nothing. */
extern void etl_project_free(EtlProjection *projection);

#endif /* ETL_PROJECT_H */
