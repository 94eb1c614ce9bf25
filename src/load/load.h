/*
 * load.h
 *		Loads and aggregates: what the rest of etl_ext calls. See README.md in this directory.
 */
#ifndef ETL_LOAD_H
#define ETL_LOAD_H

#include "etl_ext.h"
#include "nodes/pg_list.h"
#include "worker/attempt.h"

/*
 * Checks and completes the definition of a load or an aggregate; creates its target when that is missing. Called as
 * the task's owner with the search_path of its author. Sets mode, target, reads and writes.
 */
extern void etl_load_define(EtlTask *task);

/* One run of a load or an aggregate, within the step that is open. */
extern void etl_load_run(EtlAttempt *attempt);

/* Lines (char *) that show what the next run would execute. Executes nothing but EXPLAIN. */
extern List *etl_load_explain(const EtlTask *task);

/* EtlProblems of the definition as things stand now. */
extern List *etl_load_problems(const EtlTask *task);

/* Whether a unique index on exactly the key columns guards the target. */
extern bool etl_target_has_unique_key(Oid relation, const EtlNames *key);

#endif /* ETL_LOAD_H */
