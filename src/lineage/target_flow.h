/*
 * target_flow.h
 *		What a task adds to the flows of its query: columns that etl_ext makes, keys of dimensions, rows by order or deletes. Used by
 *		task_flow.c only.
 */
#ifndef ETL_TARGET_FLOW_H
#define ETL_TARGET_FLOW_H

#include "dag/flow.h"

/* From the columns of a source, as columns of the raw table by name, to what the raw table gets. */
extern List *etl_target_flow_extract(const EtlTask *task, List *flows);

/* From the columns of a load's or aggregate's query to what the target gets. */
extern List *etl_target_flow_load(const EtlTask *task, List *flows);

/* The table that a task writes; InvalidOid: it is not there. */
extern Oid etl_target_flow_find(const EtlTask *task);

/* Whether a relation has a column. */
extern bool etl_target_flow_has(Oid relation, const char *column);

/* Adds the columns of a NULL-terminated list that the target has and nothing else flows into. */
extern List *etl_target_flow_generated(List *flows, const EtlTask *task, Oid target, const char *const *columns);

#endif /* ETL_TARGET_FLOW_H */
