/* alert.h: the table etl.alert. */
#ifndef ETL_CATALOG_ALERT_H
#define ETL_CATALOG_ALERT_H

#include "catalog/spi.h"

/* An alert with what routes and receivers want to know about its pipeline. */
typedef struct EtlAlert
{
	int64 alert_id;
	const char *event;
	const char *severity;
	int64 pipeline_id; /* 0: none, in a test */
	char *pipeline;
	Oid owner;	 /* of the pipeline */
	Jsonb *tags; /* of the pipeline; NULL in a test */
	int64 run_id;
	int64 task_run_id; /* 0: not about a task */
	char *task;
	char *message;
	char *budget;	/* NULL: not about one */
	char *deadline; /* of the run, in words; NULL: none */
	TimestampTz created_at;
} EtlAlert;

extern bool etl_alert_of_task(int64 task_run_id, EtlAlert *alert);
extern bool etl_alert_of_run(int64 run_id, EtlAlert *alert);
extern void etl_alert_insert(EtlAlert *alert);
extern int64 etl_alert_close(int64 pipeline_id, TimestampTz *since);

#endif /* ETL_CATALOG_ALERT_H */
