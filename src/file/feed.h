/*
 * feed.h
 *		The feed of etl_file and etl_s3 tables: what its files share.
 *
 * Life of a file: listed -> wanted (diff.c compares the list with etl.file_ledger) -> fetched in pieces (fetch.c) -> parsed
 * (feed.c) -> saved.
 */
#ifndef ETL_FILE_FEED_H
#define ETL_FILE_FEED_H

#include "catalog/file_ledger.h"
#include "feed/feed.h"
#include "file/store.h"
#include "format/parser.h"

/* A file that is read. */
typedef struct EtlWanted
{
	EtlFile file;
	EtlLedgerFile ledger; /* what save writes */
	int64 known;		  /* records in its row of the ledger; -1: it has none */
	bool replaces;		  /* what the raw table has of it is marked as deleted first */
	bool is_checked;	  /* on_error => 'skip_file': it was read once, and is good */
	bool is_touched;	  /* since the last save */
} EtlWanted;

/* Files whose pieces one fetch brings, at most. */
#define ETL_FILE_PIECES 10000

/* Some whole records of a file. */
typedef struct EtlPiece
{
	EtlWanted *wanted;
	size_t at; /* in the buffer */
	size_t length;
	bool is_first; /* of its file */
	bool is_last;
	ErrorData *error; /* what is behind it cannot be read, and the file is only checked; NULL: nothing */
} EtlPiece;

typedef struct EtlFileFeed
{
	EtlFeed base;
	const EtlFileOptions *options;
	EtlStore *store;
	EtlInput *input;
	EtlParser *parser;
	bool checks_files; /* on_error => 'skip_file' */
	int own[4];		   /* index in source->column of etl_file_own; -1: not wanted */

	/* The list. */
	MemoryContext list_context; /* of a part of the list */
	EtlFileList list;
	bool is_listed;	 /* list is to be compared with the ledger */
	bool list_ended; /* there are no more parts */
	int n_wanted;
	EtlWanted *wanted;
	int next_wanted; /* the first that was not fetched completely */

	/* What was fetched. */
	int n_pieces;
	int next_piece;
	EtlPiece *piece; /* room for ETL_FILE_PIECES */
	bool is_given;	 /* the parser has the bytes of the current piece */
	EtlWanted *open; /* file that is being fetched; NULL: none */
	bool open_begun; /* a piece of it has been fetched */
	EtlDecompress *stream;
	MemoryContext open_context; /* of the open file */
	char *buffer;
	size_t buffer_size;
	size_t start;  /* behind the last piece */
	size_t filled; /* behind what was read */

	MemoryContext check_context; /* of a row of a file that is only checked */
	EtlWanted *current;			 /* file that is being parsed */
	bool skips_current;			 /* the rest of it is passed over: it is bad */
} EtlFileFeed;

/* Compares a part of the list with the ledger: fills wanted. In a transaction. Errors: 55000 (file_changed => 'error'). */
extern void etl_file_diff(EtlFileFeed *feed);

/* Fetches a part of the list, or the next pieces. */
extern void etl_file_fetch(EtlFileFeed *feed);

/* Breaks off the file that is being fetched. Raises nothing. */
extern void etl_file_fetch_close(EtlFileFeed *feed);

/* Appends delete markers for what the raw table has of a file; returns how many. In a transaction. */
extern int64 etl_file_replace(EtlFileFeed *feed, const char *path);

#endif /* ETL_FILE_FEED_H */
