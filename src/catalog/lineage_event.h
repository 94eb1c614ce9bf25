/*
 * lineage_event.h
 *		The table etl.lineage_event: events of OpenLineage on their way to receivers, one row for each route. States: pending ->
 *		sending -> sent, failed, muted, or pending again for the next try. Changes are a compare-and-set on the old state.
 */
#ifndef ETL_LINEAGE_EVENT_H
#define ETL_LINEAGE_EVENT_H

#include "catalog/alert_delivery.h"

/* What an event is about, and what its maker knows about it. */
typedef struct EtlLineageEvent
{
	const EtlAlertRoute *route;
	int64 run_id;
	int64 task_run_id;	   /* 0: the run of a pipeline */
	int64 check_id;		   /* a check that was evaluated as part of another task, as an event of its own; 0: none */
	const char *type;	   /* START, COMPLETE, FAIL or ABORT */
	const char *namespace; /* of jobs */
	const char *inputs;	   /* JSON: datasets */
	const char *outputs;
} EtlLineageEvent;

/* A check that was evaluated during an attempt of another task. */
typedef struct EtlLineageCheck
{
	int64 task_id;
	char *target;
	bool failed;
} EtlLineageCheck;

/* Whether any route wants events of lineage. */
extern bool etl_lineage_event_is_wanted(void);

/* Writes an event, due at once. */
extern void etl_lineage_event_insert(const EtlLineageEvent *event);

/* What the checks of an attempt found about a table, as JSON (assertions); check_id 0: the attempt's own check. NULL: nothing. */
extern char *etl_lineage_event_assertions(int64 task_run_id, int64 check_id);

/* The gates that were evaluated during an attempt. Returns how many. */
extern int etl_lineage_event_gates(int64 task_run_id, EtlLineageCheck **check);

/* What the attempt has counted: rows written and read, bytes; -1: not known. */
extern void etl_lineage_event_counts(int64 task_run_id, int64 *written, int64 *read, int64 *bytes);

/* The notifier's side, as in alert_delivery.h. Events of a route go out one after the other, in their order. */
extern TimestampTz etl_lineage_event_due(void);
extern bool etl_lineage_event_claim(EtlDelivery *delivery);
extern void etl_lineage_event_adopt(void);
extern void etl_lineage_event_end(const EtlDelivery *delivery, const char *state, const char *message, bool again);
extern void etl_lineage_event_rename(const char *route, const char *new_name);
extern void etl_lineage_event_drop(const char *route);

#endif /* ETL_LINEAGE_EVENT_H */
