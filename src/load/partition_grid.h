/*
 * partition_grid.h
 *		How a table is cut into partitions: periods of one width, and names made after one pattern. Pure: numbers and text.
 *
 * A point is a value of the partition column as a number: days of a date, microseconds of a timestamp (both since
 * 2000-01-01), an integer as it is.
 */
#ifndef ETL_PARTITION_GRID_H
#define ETL_PARTITION_GRID_H

#include "datatype/timestamp.h"

typedef struct EtlGrid
{
	Oid type;			/* of the partition column */
	int months;			/* of a period; 0: width counts */
	int64 width;		/* of a period in points */
	int64 anchor;		/* where a period begins */
	bool is_local;		/* periods of a timestamptz begin at midnight of the session's time zone, not of UTC */
	const char *name;	/* of the partition that begins at anchor; NULL: there is none */
	const char *parent; /* name of the table */
} EtlGrid;

/* Whether a table that is partitioned by a column of this type can be cut. */
extern bool etl_partition_grid_knows(Oid type);

/* Whether the points of a type are times. */
extern bool etl_partition_grid_is_time(Oid type);

/* A value of the column as a point, and back. */
extern int64 etl_partition_grid_point(Oid type, Datum value);
extern Datum etl_partition_grid_value(Oid type, int64 point);

/* Takes width and months from a partition that goes from low to high; false: it has none. */
extern bool etl_partition_grid_measure(EtlGrid *grid, int64 low, int64 high);

/* The period that a point is in; false: the type cannot hold its bounds. */
extern bool etl_partition_grid_period(const EtlGrid *grid, int64 point, int64 *low, int64 *high);

/* Points of a day or of a smaller period: what lies in the same piece of this width mostly lies in the same period. */
extern int64 etl_partition_grid_piece(const EtlGrid *grid);

/* A name for the partition that begins at low, after the pattern of grid->name; NULL: it has no pattern. */
extern char *etl_partition_grid_name(const EtlGrid *grid, int64 low);

/* What a partition's name ends in when there is no pattern: p20260131, p202601, p1000. */
extern char *etl_partition_grid_label(const EtlGrid *grid, int64 low);

#endif /* ETL_PARTITION_GRID_H */
