/*
 * raw_map.h
 *		How the columns of a source become the columns of a raw table.
 */
#ifndef ETL_RAW_MAP_H
#define ETL_RAW_MAP_H

#include "source/relation.h"

#define ETL_RAW_BATCH "_etl_batch"
#define ETL_RAW_LOADED_AT "_etl_loaded_at"
#define ETL_RAW_OP "_etl_op"
#define ETL_RAW_EXTRA "_etl_extra"

/* Column i of a row is the SQL expression[i] over the source and goes to attribute attnum[i] of the raw table. */
typedef struct EtlRawMap
{
	int n;
	char **expression;
	AttrNumber *attnum;
	int extra_at; /* index of _etl_extra, if rows may have fields that no column takes; -1: they have none */
} EtlRawMap;

/*
 * Maps by name. Values are cast to the type of the raw column as an assignment would (too long is an error). Columns
 * that the raw table lacks become one jsonb object for _etl_extra. A source with a feed (feed.h) has _etl_extra in any case.
 */
extern EtlRawMap *etl_raw_map_make(const EtlSource *source, Oid raw);

#endif /* ETL_RAW_MAP_H */
