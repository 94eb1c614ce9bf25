/*
 * alert.c
 *		The table etl.alert.
 */
#include "postgres.h"

#include "catalog/alert.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* read_subject fills in what the tables know about the subject of an alert; false when it is gone. */
static bool
read_subject(EtlStatement *statement, int64 id, EtlAlert *alert)
{
	EtlScope scope;
	Datum value = Int64GetDatum(id);
	bool found;

	etl_catalog_begin(&scope);
	found = etl_catalog_exec(statement, &value, NULL, SPI_OK_SELECT) > 0;
	if (found)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		alert->pipeline_id = etl_row_int64(&row, "pipeline_id");
		alert->pipeline = etl_row_text(&row, "pipeline");
		alert->owner = etl_row_oid(&row, "owner");
		alert->tags = etl_row_jsonb(&row, "tags");
		alert->run_id = etl_row_int64(&row, "run_id");
		alert->task_run_id = etl_row_int64(&row, "task_run_id");
		alert->task = etl_row_text(&row, "task");
		alert->message = etl_row_text(&row, "message");
		alert->deadline = etl_row_text(&row, "deadline");
	}
	etl_catalog_end(&scope);
	return found;
}

/* etl_alert_of_task fills in pipeline, run, task and, as message, the error of an attempt. */
bool
etl_alert_of_task(int64 task_run_id, EtlAlert *alert)
{
	static EtlStatement find = {
		.sql =
			"SELECT p.pipeline_id, p.name AS pipeline, p.owner::oid AS owner, p.tags, r.run_id, t.task_run_id, t.task, "
			"coalesce(t.error_message, t.message) AS message, NULL AS deadline "
			"FROM etl.task_run AS t JOIN etl.run AS r USING (run_id) JOIN etl.pipeline AS p USING (pipeline_id) "
			"WHERE t.task_run_id = $1",
		.nargs = 1,
		.argtype = {INT8OID},
	};

	return read_subject(&find, task_run_id, alert);
}

/* etl_alert_of_run fills in pipeline, run with its deadline and, as message, that of the run. */
bool
etl_alert_of_run(int64 run_id, EtlAlert *alert)
{
	static EtlStatement find = {
		.sql = "SELECT p.pipeline_id, p.name AS pipeline, p.owner::oid AS owner, p.tags, r.run_id, "
			   "NULL::bigint AS task_run_id, NULL AS task, r.message, "
			   "to_char(r.deadline_at AT TIME ZONE p.timezone, 'YYYY-MM-DD HH24:MI:SS ') || p.timezone AS deadline "
			   "FROM etl.run AS r JOIN etl.pipeline AS p USING (pipeline_id) WHERE r.run_id = $1",
		.nargs = 1,
		.argtype = {INT8OID},
	};

	return read_subject(&find, run_id, alert);
}

/* etl_alert_read_contract fills in what the columns ETL_ALERT_CONTRACT say. */
void
etl_alert_read_contract(const EtlRow *row, EtlAlert *alert)
{
	alert->contract_id = etl_row_int64(row, "contract_id");
	alert->source = etl_row_text(row, "source");
	alert->team = etl_row_text(row, "team");
	alert->contact = etl_row_text(row, "contact");
	alert->reader = etl_row_names(row, "readers");
}

/* etl_alert_of_contract fills in who answers for a contract and who is concerned. */
bool
etl_alert_of_contract(int64 contract_id, EtlAlert *alert)
{
	static EtlStatement find = {
		.sql = "SELECT k.owner::oid AS owner, k.tags, " ETL_ALERT_CONTRACT
			   " FROM etl.contract AS k WHERE k.contract_id = $1",
		.nargs = 1,
		.argtype = {INT8OID},
	};
	EtlScope scope;
	Datum value = Int64GetDatum(contract_id);
	bool found;

	etl_catalog_begin(&scope);
	found = etl_catalog_exec(&find, &value, NULL, SPI_OK_SELECT) > 0;
	if (found)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		alert->owner = etl_row_oid(&row, "owner");
		alert->tags = etl_row_jsonb(&row, "tags");
		etl_alert_read_contract(&row, alert);
	}
	etl_catalog_end(&scope);
	return found;
}

/* null_if_zero makes a bigint argument; 0 is NULL. */
static Datum
null_if_zero(int64 number, char *null)
{
	*null = number == 0 ? 'n' : ' ';
	return Int64GetDatum(number);
}

/* etl_alert_insert stores an alert and gives it its number and time. */
void
etl_alert_insert(EtlAlert *alert)
{
	static EtlStatement insert = {
		.sql = "INSERT INTO etl.alert (event, severity, pipeline_id, pipeline, run_id, task_run_id, task, message, "
			   "contract_id, source, promise, budget, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
			   "$11, $12, "
			   "clock_timestamp()) RETURNING alert_id, created_at",
		.nargs = 12,
		.argtype = {TEXTOID, TEXTOID, INT8OID, TEXTOID, INT8OID, INT8OID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID,
					TEXTOID},
	};
	EtlScope scope;
	EtlRow row;
	Datum value[12];
	char null[12];

	value[0] = etl_arg_text(alert->event, &null[0]);
	value[1] = etl_arg_text(alert->severity, &null[1]);
	value[2] = null_if_zero(alert->pipeline_id, &null[2]);
	value[3] = etl_arg_text(alert->pipeline, &null[3]);
	value[4] = null_if_zero(alert->run_id, &null[4]);
	value[5] = null_if_zero(alert->task_run_id, &null[5]);
	value[6] = etl_arg_text(alert->task, &null[6]);
	value[7] = etl_arg_text(alert->message, &null[7]);
	value[8] = null_if_zero(alert->contract_id, &null[8]);
	value[9] = etl_arg_text(alert->source, &null[9]);
	value[10] = etl_arg_text(alert->promise, &null[10]);
	value[11] = etl_arg_text(alert->budget, &null[11]);
	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&insert, value, null, SPI_OK_INSERT_RETURNING);
	row = etl_catalog_row(&scope, 0);
	alert->alert_id = etl_row_int64(&row, "alert_id");
	alert->created_at = etl_row_time(&row, "created_at");
	etl_catalog_end(&scope);
}

/*
 * etl_alert_close marks the open alerts of a pipeline, of severity fail or deadline, as recovered. Returns how many there
 * were and when the first of them was raised.
 */
int64
etl_alert_close(int64 pipeline_id, TimestampTz *since)
{
	static EtlStatement mark = {
		.sql = "WITH closed AS (UPDATE etl.alert SET recovered_at = clock_timestamp() WHERE pipeline_id = $1 "
			   "AND severity IN ('fail', 'deadline') AND recovered_at IS NULL RETURNING created_at) "
			   "SELECT count(*) AS n, min(created_at) AS since FROM closed",
		.nargs = 1,
		.argtype = {INT8OID},
	};
	EtlScope scope;
	EtlRow row;
	int64 n;
	Datum value = Int64GetDatum(pipeline_id);

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&mark, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	n = etl_row_int64(&row, "n");
	*since = etl_row_time(&row, "since");
	etl_catalog_end(&scope);
	return n;
}
