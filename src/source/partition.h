/*
 * partition.h
 *		The partitions of a raw table: one for each UTC day of _etl_loaded_at, made ahead.
 */
#ifndef ETL_PARTITION_H
#define ETL_PARTITION_H

#include "datatype/timestamp.h"
#include "utils/relcache.h"

/* Days ahead of today for which partitions are made. */
#define ETL_PARTITION_AHEAD 7

/*
 * Makes the partitions that are missing for today (UTC) and the next 7 days; true when it made any. It then holds locks
 * until the end of the transaction, so that an extract commits before it goes on.
 */
extern bool etl_partition_ensure(Oid raw);

/* The partition that takes rows with this _etl_loaded_at, or InvalidOid. */
extern Oid etl_partition_find(Relation raw, TimestampTz loaded_at);

#endif /* ETL_PARTITION_H */
