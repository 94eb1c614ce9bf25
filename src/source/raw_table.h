/*
 * raw_table.h
 *		Raw tables: made when missing, checked when there.
 */
#ifndef ETL_RAW_TABLE_H
#define ETL_RAW_TABLE_H

#include "source/relation.h"

/* Creates the raw table of a name (and its schema) for a source, with partitions, and returns it. */
extern Oid etl_raw_table_create(const char *name, const EtlSource *source);

/* Refuses a relation that cannot be the raw table of this extract: shape, columns, types, triggers, privileges. */
extern void etl_raw_table_check(Oid raw, const EtlTask *task, const EtlSource *source);

#endif /* ETL_RAW_TABLE_H */
