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
	Oid owner;	 /* of the pipeline or contract */
	Jsonb *tags; /* of the pipeline or contract; NULL in a test */
	int64 run_id;
	int64 task_run_id; /* 0: not about a task */
	char *task;
	int64 contract_id; /* 0: not about the promise of a source */
	char *source;
	char *promise;
	char *team;
	char *contact;
	EtlNames reader; /* of a contract: owners of the pipelines that read the source, by number */
	char *message;
	char *budget;	/* NULL: not about one */
	char *deadline; /* of the run, in words; NULL: none */
	TimestampTz created_at;
} EtlAlert;

/* What etl_alert_read_contract wants of a contract k; its columns are NULL where there is none. */
#define ETL_ALERT_CONTRACT                                                                                             \
	"k.contract_id, k.source, k.team, k.contact, array(SELECT DISTINCT o.owner::oid::text FROM etl.pipeline AS o "     \
	"JOIN etl.task AS e ON e.pipeline_id = o.pipeline_id WHERE e.kind = 'extract' AND e.source = k.source) AS readers"

extern bool etl_alert_of_task(int64 task_run_id, EtlAlert *alert);
extern bool etl_alert_of_run(int64 run_id, EtlAlert *alert);
extern bool etl_alert_of_contract(int64 contract_id, EtlAlert *alert);
extern void etl_alert_read_contract(const EtlRow *row, EtlAlert *alert);
extern void etl_alert_insert(EtlAlert *alert);
extern int64 etl_alert_close(int64 pipeline_id, TimestampTz *since);

#endif /* ETL_CATALOG_ALERT_H */
