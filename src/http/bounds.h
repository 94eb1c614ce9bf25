/*
 * bounds.h
 *		The bounds of a read as an API takes them: parameters since and until, in the format that it wants.
 */
#ifndef ETL_HTTP_BOUNDS_H
#define ETL_HTTP_BOUNDS_H

#include "http/table.h"

typedef struct EtlHttpBounds
{
	const char *since; /* NULL: no such limit */
	const char *until;
	bool is_number; /* in a JSON body without quotes */
} EtlHttpBounds;

/*
 * Formats the bounds, in the current memory context; in a transaction. A format that knows less than microseconds rounds
 * away from what is wanted: the rows in between are left out here. Errors: HV00D for a format that does not fit the column.
 */
extern void etl_http_bounds_make(const EtlHttpTable *table, const EtlSource *source, const char *lower,
								 const char *below, EtlHttpBounds *bounds);

#endif /* ETL_HTTP_BOUNDS_H */
