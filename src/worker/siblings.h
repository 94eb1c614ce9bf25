/*
 * siblings.h
 *		Checks of a run that the scan of another one answers: those of the same table that are ready at the same time.
 *
 * A check that begins takes along the ready ones that can be evaluated with it, and ends them in its own transaction, from
 * ready to their state. One that somebody else has started meanwhile is left to him. Among tasks that are published
 * together, the checks of a table that follow each other are evaluated together.
 */
#ifndef ETL_SIBLINGS_H
#define ETL_SIBLINGS_H

#include "worker/publish.h"

/* Finds the siblings of the work at hand, before it is done. */
extern void etl_siblings_find(EtlPublish *publish, const EtlRunInfo *info);

/* Ends those of a work that are no members of the publication, in the current transaction. */
extern void etl_siblings_finish(const EtlWork *work);

/* Checks of a run with the same key can be evaluated by one attempt: the same table, owner, names, pool and timeout. */
extern char *etl_siblings_key(const EtlTask *check);

#endif /* ETL_SIBLINGS_H */
