/*
 * file_ledger.h
 *		etl.file_ledger: the files that extracts have read.
 */
#ifndef ETL_FILE_LEDGER_H
#define ETL_FILE_LEDGER_H

#include "datatype/timestamp.h"
#include "worker/attempt.h"

/* etag of a row that stands for any version of its file. */
#define ETL_LEDGER_ANY "*"

/* etag of a row that stands for versions which have been forgotten, and whose rows the next one replaces. */
#define ETL_LEDGER_FORGOTTEN "-"

typedef struct EtlLedgerFile
{
	char *path;
	char *etag;
	int64 size;
	TimestampTz modified; /* DT_NOBEGIN: not known */
	const char *state;	  /* loading, loaded, skipped */
	int64 records;
	int64 bad_records;
	const char *reason; /* NULL: it was not skipped */
	int64 run_id;		/* 0: none */
} EtlLedgerFile;

/* All rows of a task for some paths, in the current memory context; returns how many. */
extern int etl_file_ledger_find(int64 task_id, const EtlNames *paths, EtlLedgerFile **file);

/* How many files a task has in each state: loading, loaded, skipped. */
extern void etl_file_ledger_count(int64 task_id, int64 count[3]);

/*
 * Writes how far a version was read, compare-and-set: known is the number of records that the row had when it was read or
 * written last, -1: there was none. Errors: ZE004 when another attempt has written it since.
 */
extern void etl_file_ledger_save(const EtlAttempt *attempt, const EtlLedgerFile *file, int64 known);

/* Forgets all files of a task. */
extern void etl_file_ledger_delete(int64 task_id);

/* By hand: forgets a file, and returns the number of rows; leaves behind that it was there; passes over it from now on. */
extern int64 etl_file_ledger_forget(int64 task_id, const char *path);
extern void etl_file_ledger_leave(int64 task_id, const char *path);
extern void etl_file_ledger_skip(int64 task_id, const char *path, const char *reason);

#endif /* ETL_FILE_LEDGER_H */
