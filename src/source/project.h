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
	int deleted;	 /* index of the flag in output; -1: none */
	int passes;		 /* index of the filter's result in output; -1: the source has filtered */
	int extra_at;	 /* index of _etl_extra in output, of a source whose rows may have more fields; -1: none */
	bool is_deleted; /* set by the caller: this row is one that was deleted, whatever its columns say */
	Jsonb *extra;	 /* set by the caller: what else the row has; NULL: nothing */
} EtlProjection;

/*
 * Plans the expressions for a request, with the author's search_path; in a transaction, in request->context. NULL:
 * *why_not says why a row of the source's columns is not enough (a subquery, a column that is not taken).
 */
extern EtlProjection *etl_project_make(const EtlReadRequest *request, const char **why_not);

/*
 * Evaluates for the values in projection->input and puts the result into the sink. Resets its per-row memory. The caller
 * has pinned the settings and the author's search_path, as for everything that is read.
 */
extern void etl_project_put(EtlProjection *projection, EtlRowSink *sink);

/* Frees what hangs on executor state; raises nothing. */
extern void etl_project_free(EtlProjection *projection);

#endif /* ETL_PROJECT_H */
