/*
 * publish_notify.h
 *		NOTIFY etl_publish: what a commit changes in the targets of loads and aggregates. Documented in docs/publish.md.
 */
#ifndef ETL_PUBLISH_NOTIFY_H
#define ETL_PUBLISH_NOTIFY_H

#include "worker/work.h"

#define ETL_PUBLISH_CHANNEL "etl_publish"

/*
 * Tells of those of n works that are loads or aggregates and have changed rows, when the current transaction commits;
 * tells nothing when there are none.
 */
extern void etl_publish_notify(const EtlWork *const *work, int n);

#endif /* ETL_PUBLISH_NOTIFY_H */
