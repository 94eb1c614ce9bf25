/*
 * snapshot_group.h
 *		What an extract of a snapshot_group knows of the transactions that were open when the snapshot was taken.
 */
#ifndef ETL_SNAPSHOT_GROUP_H
#define ETL_SNAPSHOT_GROUP_H

#include "source/commit_bound.h"

/* In the place of etl_writers_pg, for an extract that reads in a snapshot; all: where the start of a transaction says nothing. */
extern void etl_snapshot_group_writers(EtlExtract *extract, bool all, EtlWriters *writers);

#endif /* ETL_SNAPSHOT_GROUP_H */
