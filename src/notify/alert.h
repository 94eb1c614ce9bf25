/*
 * alert.h
 *		Alerts: one row of etl.alert for each change of state that somebody may want to hear of, with one row of
 *		etl.alert_delivery for each route that wants it. All of it is written in the transaction that makes the change, so
 *		that there is exactly one alert for each, whatever dies.
 */
#ifndef ETL_ALERT_H
#define ETL_ALERT_H

#include "catalog/alert_route.h"
#include "catalog/budget.h"

typedef enum EtlAlertEvent
{
	ETL_ALERT_TASK_FAILED,	   /* fail: after the last retry */
	ETL_ALERT_TASK_STALE,	   /* warning: on_failure => 'use_last' */
	ETL_ALERT_TASK_HELD,	   /* fail: it took the server down three times */
	ETL_ALERT_RUN_FAILED,	   /* fail */
	ETL_ALERT_RUN_WARNING,	   /* warning */
	ETL_ALERT_RUN_CANCELLED,   /* warning */
	ETL_ALERT_RUN_SKIPPED,	   /* info */
	ETL_ALERT_DEADLINE_MISSED, /* deadline: still running, or never started */
	ETL_ALERT_RECOVERED,	   /* recovery: after an alert of severity fail or deadline */
	ETL_ALERT_SCHEMA_CHANGED,  /* warning: the columns of a source are not those that it had */
	ETL_ALERT_BUDGET_WARNING,  /* warning: a budget has come to its warning */
	ETL_ALERT_BUDGET_EXCEEDED, /* fail: more than a budget was spent */
	ETL_ALERT_CONTRACT_BROKEN, /* warning, or what the contract says: a source does not keep a promise */
	ETL_ALERT_TEST			   /* info: etl.test_alert_route */
} EtlAlertEvent;

/* Raises an alert about an attempt. */
extern void etl_alert_task(EtlAlertEvent event, int64 task_run_id, const char *message);

/* Raises an alert about a run; message may be NULL. */
extern void etl_alert_run(EtlAlertEvent event, int64 run_id, const char *message);

/* A run has ended well: raises RECOVERED when its pipeline has alerts of severity fail or deadline that are still open. */
extern void etl_alert_recovered(int64 run_id);

/* Raises an alert about a budget, for its owner. */
extern void etl_alert_budget(const EtlBudgetAlert *budget);
/* Raises an alert about a promise of a source; severity NULL: that of the event; run_id 0: no run has found it. */
extern void etl_alert_contract(EtlAlertEvent event, int64 contract_id, const char *promise, const char *severity,
							   int64 run_id, const char *message);

/* Raises an alert that only this route gets, even if it does not want such alerts; returns its number. */
extern int64 etl_alert_test(const EtlAlertRoute *route);

#endif /* ETL_ALERT_H */
