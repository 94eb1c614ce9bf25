/*
 * raw_marker.c
 *		Batches that repeat rows of a raw table with another _etl_op. See raw_marker.h.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/spi.h"
#include "lib/stringinfo.h"
#include "source/raw_map.h"
#include "source/raw_marker.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* etl_raw_marker_columns leaves out what the batch has of its own, and what the table fills in by itself. */
char *
etl_raw_marker_columns(Oid raw)
{
	Relation rel = table_open(raw, AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *name = NameStr(att->attname);

		if (att->attisdropped || att->attgenerated || att->attidentity || strcmp(name, ETL_RAW_BATCH) == 0 ||
			strcmp(name, ETL_RAW_LOADED_AT) == 0 || strcmp(name, ETL_RAW_OP) == 0)
			continue;
		appendStringInfo(&list, "%s%s", list.len ? ", " : "", quote_identifier(name));
	}
	table_close(rel, NoLock);
	return list.data;
}

/* etl_raw_marker_append appends in one statement. */
int64
etl_raw_marker_append(EtlBatch *batch, const char *columns, const char *from, char op)
{
	int64 n = (int64) etl_sql_exec(psprintf("INSERT INTO %s (%s, " ETL_RAW_BATCH ", " ETL_RAW_LOADED_AT ", " ETL_RAW_OP
											") SELECT %s, " INT64_FORMAT ", '%s'::pg_catalog.timestamptz, '%c' FROM %s",
											batch->target, columns, columns, batch->batch_id,
											timestamptz_to_str(batch->loaded_at), op, from),
								   SPI_OK_INSERT);

	batch->row_count += n;
	return n;
}
