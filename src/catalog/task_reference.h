/* task_reference.h: the table etl.task_reference. */
#ifndef ETL_TASK_REFERENCE_H
#define ETL_TASK_REFERENCE_H

#include "catalog/spi.h"

/* A relation or, with column, one of its columns. */
typedef struct EtlReference
{
	char *relation; /* schema-qualified */
	char *column;	/* NULL: the relation itself */
	bool is_write;
} EtlReference;

/* Replaces what a task names. */
extern void etl_task_reference_replace(int64 task_id, const EtlReference *reference, int n);

/* Who names a relation (column NULL), or one of its columns, in words; NULL: nobody. Tasks by their names, and contracts. */
extern char *etl_task_reference_users(const char *relation, const char *column);

/* The same for all relations of a schema. */
extern char *etl_task_reference_schema_users(const char *schema);

#endif /* ETL_TASK_REFERENCE_H */
