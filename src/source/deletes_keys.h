/*
 * deletes_keys.h
 *		The keys that a source has now, in a temporary table.
 */
#ifndef ETL_DELETES_KEYS_H
#define ETL_DELETES_KEYS_H

#include "source/extract_run.h"

/*
 * Reads the keys of all rows within the scope of the comparison into table (qualified), which it creates, over several
 * steps; returns how many there are. Keys have the types of the raw table. With a step open before and after.
 */
extern int64 etl_deletes_read_keys(EtlExtract *extract, const char *table);

#endif /* ETL_DELETES_KEYS_H */
