/*
 * dml.h
 *		Executes one INSERT, UPDATE, DELETE or MERGE and counts what it did, which SPI cannot tell apart for MERGE.
 */
#ifndef ETL_DML_H
#define ETL_DML_H

#include "c.h"

typedef struct EtlDml
{
	int64 inserted;
	int64 updated;
	int64 deleted;
	int64 read; /* rows that went into the topmost DISTINCT, or were inserted where there is none */
} EtlDml;

/* Executes sql as the current user with the current search_path in the open transaction. */
extern EtlDml etl_dml_run(const char *sql);

#endif /* ETL_DML_H */
