/*
 * schema_event.h
 *		etl.schema_event: changes of the columns of sources, with what was done about them.
 */
#ifndef ETL_SCHEMA_EVENT_H
#define ETL_SCHEMA_EVENT_H

#include "worker/attempt.h"

typedef struct EtlSchemaEvent
{
	const char *column;
	const char *change;	  /* added, dropped, widened, narrowed, changed */
	const char *old_type; /* NULL: the column is new */
	const char *new_type; /* NULL: the column is gone */
	const char *policy;
	const char *action; /* what was done, in words */
} EtlSchemaEvent;

/* Stores an event unless the last one of that column says the same; true: it is new. */
extern bool etl_schema_event_insert(const EtlAttempt *attempt, const EtlSchemaEvent *event);

/* The columns that the raw table target got at or after a moment. */
extern EtlNames etl_schema_event_added(const char *target, TimestampTz since);

#endif /* ETL_SCHEMA_EVENT_H */
