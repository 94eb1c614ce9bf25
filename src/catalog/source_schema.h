/*
 * source_schema.h
 *		etl.source_schema: the columns that a source had when an extract last looked; what differs from them is drift.
 */
#ifndef ETL_SOURCE_SCHEMA_H
#define ETL_SOURCE_SCHEMA_H

#include "etl_ext.h"

typedef struct EtlSourceSchema
{
	char *source; /* as in EtlTask.source */
	char *origin; /* who was asked: postgres_fdw, mysql_fdw, or relation (the source itself) */
	EtlNames columns;
	EtlNames types;	   /* in the words of who was asked, one for each column */
	EtlNames left_out; /* those of columns that the extract does not take */
} EtlSourceSchema;

/* What was seen last; NULL: nothing yet. */
extern EtlSourceSchema *etl_source_schema_get(int64 task_id);

extern void etl_source_schema_set(int64 task_id, const EtlSourceSchema *schema);

/* The next extract takes the source as it is then. */
extern void etl_source_schema_forget(int64 task_id);

#endif /* ETL_SOURCE_SCHEMA_H */
