/*
 * drift.h
 *		What the parts of schema_drift share: the columns of a source as who knows them best sees them, and one change.
 *
 * "The source has" means the server behind a foreign table of postgres_fdw or mysql_fdw, asked through a connection of
 * our own; for all other sources the relation itself.
 */
#ifndef ETL_DRIFT_H
#define ETL_DRIFT_H

#include "catalog/schema_event.h"
#include "source/extract_run.h"

typedef struct EtlDriftColumn
{
	char *name;				/* as the source has it */
	char *type;				/* in the source's words */
	bool readable;			/* we may read it */
	char *local_type;		/* what takes its values here, as format_type writes it */
	const EtlColumn *local; /* the column of the foreign table, or of the source itself; NULL: none */
} EtlDriftColumn;

typedef struct EtlDriftColumns
{
	const char *origin; /* as in etl.source_schema */
	bool is_remote;		/* a server was asked */
	bool (*same_name)(const char *a, const char *b);
	const EtlSource *all; /* the source with all its columns */
	char **remote_name;	  /* of each of them: what the server calls it */
	int n;
	EtlDriftColumn *column; /* what the source has */
} EtlDriftColumns;

/* Asks; ends the step and begins another if it asks a server. Everything lives as long as the extract. */
extern EtlDriftColumns *etl_drift_columns_get(EtlExtract *extract);

/* The column of that name that the source has; NULL: none. */
extern EtlDriftColumn *etl_drift_columns_find(const EtlDriftColumns *columns, const char *name);

/* One change, with what is to be told of it. */
typedef struct EtlDriftChange
{
	EtlSchemaEvent event;
	const EtlColumn *local; /* column of the foreign table, or NULL */
	bool pending;			/* could not be followed: looked at again next time */
	bool excluded;			/* the column is not read */
} EtlDriftChange;

/* Carry out evolve: alter the foreign table and the raw table as far as possible, and set action and pending. */
extern void etl_drift_apply_added(EtlExtract *extract, const EtlDriftColumns *columns, const EtlDriftColumn *column,
								  EtlDriftChange *change);
extern void etl_drift_apply_dropped(EtlExtract *extract, const EtlDriftColumns *columns, EtlDriftChange *change);
extern void etl_drift_apply_widened(EtlExtract *extract, const EtlDriftColumns *columns, const EtlDriftColumn *column,
									EtlDriftChange *change);

#endif /* ETL_DRIFT_H */
