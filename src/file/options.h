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

/* Columns that the feed fills by itself; ends with NULL. */
extern const char *const etl_file_own[];

#endif /* ETL_FILE_OPTIONS_H */
