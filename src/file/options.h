/*
 * options.h
 *		The options of tables of etl_file and etl_s3 that both have, and those of their servers.
 */
#ifndef ETL_FILE_OPTIONS_H
#define ETL_FILE_OPTIONS_H

#include "format/decompress.h"
#include "format/parser.h"
#include "nodes/pg_list.h"

typedef struct EtlFileOptions
{
	const List *server;	 /* DefElem */
	const List *mapping; /* secret */
	char *prefix;		 /* of all paths; empty: none */
	char *pattern;		 /* of what follows; NULL: anything */
	bool is_csv;		 /* otherwise NDJSON */
	EtlCsvOptions csv;	 /* encoding also of NDJSON */
	EtlCompression compression;
	int64 max_bytes; /* of a file when it is decompressed; 0: any */
} EtlFileOptions;

/* Reads the options of a table as a role sees them, in the current memory context; in a transaction. */
extern EtlFileOptions *etl_file_options(const EtlSource *source, Oid user);

/* Where a column that the feed fills by itself stands in etl_file_own, which ends with NULL. */
enum
{
	ETL_FILE_OWN_FILE,
	ETL_FILE_OWN_LINE,
	ETL_FILE_OWN_MODIFIED,
	ETL_FILE_OWN_SIZE
};

extern const char *const etl_file_own[];

#endif /* ETL_FILE_OPTIONS_H */
