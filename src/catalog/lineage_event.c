/*
 * lineage_event.c
 *		The table etl.lineage_event: how an event is made. See lineage_event.h; lineage_queue.c delivers.
 *
 * Everything in an event but its datasets is in the tables of schema etl, so one statement puts it together.
 */
#include "postgres.h"

#include "catalog/lineage_event.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define SPEC "https://openlineage.io/spec/"

/* Who made the event, in SQL. */
#define PRODUCER "'urn:etl_ext:" ETL_VERSION "'::text"

/* A facet in SQL, of a version of a schema; fields: name, value, ... */
#define FACET(version, name, fields)                                                                                   \
	"jsonb_build_object('_producer', " PRODUCER ", '_schemaURL', '" SPEC "facets/" version "/" name                    \
	".json#/$defs/" name "', " fields ")"

/*
 * A number for a run in SQL, a UUID of version 7: the time, then bits that follow from what it is about, so that all events of a run
 * have the same, and none that of another database.
 */
#define RUN_ID(moment, about)                                                                                          \
	"(SELECT (substr(t.ms, 1, 8) || '-' || substr(t.ms, 9, 4) || '-7' || substr(t.hash, 1, 3) || '-' || "              \
	"substr('89ab', strpos('0123456789abcdef', substr(t.hash, 4, 1)) % 4 + 1, 1) || substr(t.hash, 5, 3) || '-' || "   \
	"substr(t.hash, 8, 12))::uuid FROM (SELECT lpad(to_hex(floor(extract(epoch FROM " moment                           \
	") * 1000)::bigint), 12, '0') AS ms, encode(sha256(convert_to(concat_ws(':', (SELECT system_identifier "           \
	"FROM pg_control_system()), (SELECT oid FROM pg_database WHERE datname = current_database()), " about              \
	"), 'UTF8')), 'hex') AS hash) AS t)"

/* A time in SQL as OpenLineage writes it. */
#define TIME(moment) "to_char(" moment " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

/* An object in SQL without what is NULL in it. */
#define STRIPPED(fields) "jsonb_strip_nulls(jsonb_build_object(" fields "))"

/* etl_lineage_event_is_wanted looks for a route. */
bool
etl_lineage_event_is_wanted(void)
{
	static EtlStatement find = {
		"SELECT FROM etl.alert_route WHERE channel = 'openlineage' AND enabled LIMIT 1", 0, {0}};

	return etl_catalog_call(&find, NULL, NULL, SPI_OK_SELECT) > 0;
}

#define RUN_FACETS                                                                                                                                \
	STRIPPED("'parent', CASE WHEN x.task_run_id IS NOT NULL THEN " FACET(                                                                         \
		"1-2-0", "ParentRunFacet",                                                                                                                \
		"'run', jsonb_build_object('runId', w.run), "                                                                                             \
		"'job', jsonb_build_object('namespace', $5::text, 'name', p.name)") " END, "                                                              \
																			"'nominalTime', CASE WHEN "                                           \
																			"isfinite(r.logical_time) THEN " FACET(                               \
																				"1-0-1", "NominalTimeRunFacet",                                   \
																				"'nominalStartTime', " TIME("coalesce"                            \
																											"(r."                                 \
																											"interval"                            \
																											"_start, "                            \
																											"r."                                  \
																											"logical_"                            \
																											"time)") ", 'nominalEndTime', " TIME( \
																					"r.interval_end")) " END, "                                   \
																									   "'processing_"                             \
																									   "engine',"                                 \
																									   " " FACET(                                 \
																										   "1-1-1",                               \
																										   "Processin"                            \
																										   "gEngineRu"                            \
																										   "nFacet",                              \
																										   "'name', "                             \
																										   "'PostgreS"                            \
																										   "QL', "                                \
																										   "'version'"                            \
																										   ", "                                   \
																										   "current_"                             \
																										   "setting('"                            \
																										   "server_"                              \
																										   "version')"                            \
																										   ", "                                   \
																										   "'openline"                            \
																										   "ageAdapte"                            \
																										   "rVersion'"                            \
																										   ", "                                   \
																										   "'" ETL_VERSION                        \
																										   "'") ", "                              \
																												"'err"                            \
																												"orMe"                            \
																												"ssag"                            \
																												"e', "                            \
																												"CASE"                            \
																												" WHE"                            \
																												"N "                              \
																												"$4 "                             \
																												"IN "                             \
																												"('"                              \
																												"FAIL"                            \
																												"', "                             \
																												"'ABO"                            \
																												"RT')"                            \
																												" AND"                            \
																												" w."                             \
																												"erro"                            \
																												"r "                              \
																												"IS "                             \
																												"NOT "                            \
																												"NULL"                            \
																												" THE"                            \
																												"N"                               \
																												" " FACET(                        \
																													"1-0-1",                      \
																													"ErrorMessageRunFacet",       \
																													"'message', w.error, 'programmingLanguage', 'SQL', 'stackTrace', w.trace") " END")

#define JOB_FACETS                                                                                                                               \
	STRIPPED("'jobType', " FACET(                                                                                                                \
		"2-0-4", "JobTypeJobFacet",                                                                                                              \
		"'processingType', 'BATCH', 'integration', 'ETL_EXT', 'jobType', "                                                                       \
		"CASE WHEN x.task_run_id IS NULL THEN 'PIPELINE' ELSE upper(w.task->>'kind') END") ", "                                                  \
																						   "'sql', CASE WHEN w.sql "                             \
																						   "IS NOT NULL THEN " FACET(                            \
																							   "1-1-0", "SQLJobFacet",                           \
																							   "'query', w.sql, "                                \
																							   "'dialect', "                                     \
																							   "'postgresql'") " END,"                           \
																											   " "                               \
																											   "'docu"                           \
																											   "menta"                           \
																											   "tion'"                           \
																											   ", "                              \
																											   "CASE "                           \
																											   "WHEN "                           \
																											   "w."                              \
																											   "descr"                           \
																											   "iptio"                           \
																											   "n IS "                           \
																											   "NOT "                            \
																											   "NULL "                           \
																											   "THEN"                            \
																											   " " FACET(                        \
																												   "1"                           \
																												   "-"                           \
																												   "1"                           \
																												   "-"                           \
																												   "0",                          \
																												   "D"                           \
																												   "o"                           \
																												   "c"                           \
																												   "u"                           \
																												   "m"                           \
																												   "e"                           \
																												   "n"                           \
																												   "t"                           \
																												   "a"                           \
																												   "t"                           \
																												   "i"                           \
																												   "o"                           \
																												   "n"                           \
																												   "J"                           \
																												   "o"                           \
																												   "b"                           \
																												   "F"                           \
																												   "a"                           \
																												   "c"                           \
																												   "e"                           \
																												   "t",                          \
																												   "'"                           \
																												   "d"                           \
																												   "e"                           \
																												   "s"                           \
																												   "c"                           \
																												   "r"                           \
																												   "i"                           \
																												   "p"                           \
																												   "t"                           \
																												   "i"                           \
																												   "o"                           \
																												   "n"                           \
																												   "'"                           \
																												   ","                           \
																												   " "                           \
																												   "w"                           \
																												   "."                           \
																												   "d"                           \
																												   "e"                           \
																												   "s"                           \
																												   "c"                           \
																												   "r"                           \
																												   "i"                           \
																												   "p"                           \
																												   "t"                           \
																												   "i"                           \
																												   "o"                           \
																												   "n") " END, "                 \
																														"'ownership', " FACET(   \
																															"1-0-1",             \
																															"OwnershipJobFacet", \
																															"'owners', jsonb_build_array(jsonb_build_object('name', p.owner::text, 'type', 'MAINTAINER'))"))

/* etl_lineage_event_insert puts an event together. */
void
etl_lineage_event_insert(const EtlLineageEvent *event)
{
	static EtlStatement insert = {
		"INSERT INTO etl.lineage_event (route, owner, pipeline_id, run_id, task_run_id, event_type, job, body, state, "
		"try, due_at, "
		"  created_at) "
		"SELECT $6, $7, p.pipeline_id, r.run_id, x.task_run_id, $4, w.job, "
		"  jsonb_build_object('eventType', $4, 'eventTime', " TIME(
			"w.at") ", 'producer', " PRODUCER ", "
					"    'schemaURL', '" SPEC "2-0-2/OpenLineage.json#/$defs/RunEvent', "
					"    'run', jsonb_build_object('runId', w.id, 'facets', " RUN_FACETS "), "
					"    'job', jsonb_build_object('namespace', $5::text, 'name', w.job, 'facets', " JOB_FACETS "), "
					"    'inputs', $8::jsonb, 'outputs', $9::jsonb), 'pending', 1, clock_timestamp(), "
					"clock_timestamp() "
					"FROM etl.run AS r JOIN etl.pipeline AS p ON p.pipeline_id = r.pipeline_id "
					"LEFT JOIN etl.task_run AS x ON x.task_run_id = $2 "
					"LEFT JOIN LATERAL (SELECT e FROM jsonb_array_elements(r.definition->'task') AS e "
					"  WHERE (e->>'task_id')::bigint = CASE WHEN $3 <> 0 THEN $3 ELSE x.task_id END) AS d ON true "
					"LEFT JOIN LATERAL (SELECT c.message, c.checked_at, c.state FROM etl.check_result AS c "
					"  WHERE c.task_run_id = $2 AND c.task_id = $3 ORDER BY c.check_result_id DESC LIMIT 1) AS c ON "
					"true "
					"CROSS JOIN LATERAL (SELECT d.e AS task, " RUN_ID(
						"r.requested_at",
						"'run', r.run_id, r.retries") " AS run, "
													  "  CASE WHEN x.task_run_id IS NULL THEN " RUN_ID("r.requested_at", "'run', r.run_id, r.retries") "    WHEN $3 <> 0 THEN " RUN_ID(
														  "x.started_at",
														  "'check', x.task_run_id, $3") "    ELSE " RUN_ID("x.started_"
																										   "at",
																										   "'task', "
																										   "x.task_run_"
																										   "id") " END "
																												 "AS "
																												 "id, "
																												 "  "
																												 "conca"
																												 "t_ws("
																												 "'.', "
																												 "p."
																												 "name,"
																												 " CASE"
																												 " WHEN"
																												 " $3 "
																												 "<> 0 "
																												 "THEN "
																												 "d.e->"
																												 ">'"
																												 "name'"
																												 " ELSE"
																												 " x."
																												 "task "
																												 "END) "
																												 "AS "
																												 "job, "
																												 "  "
																												 "CASE "
																												 "WHEN "
																												 "$3 "
																												 "<> 0 "
																												 "THEN "
																												 "coale"
																												 "sce("
																												 "c."
																												 "check"
																												 "ed_"
																												 "at, "
																												 "x."
																												 "start"
																												 "ed_"
																												 "at) "
																												 "    "
																												 "WHEN "
																												 "$4 = "
																												 "'STAR"
																												 "T' "
																												 "THEN "
																												 "CASE "
																												 "WHEN "
																												 "x."
																												 "task_"
																												 "run_"
																												 "id "
																												 "IS "
																												 "NULL "
																												 "THEN "
																												 "r."
																												 "start"
																												 "ed_"
																												 "at "
																												 "ELSE "
																												 "x."
																												 "start"
																												 "ed_"
																												 "at "
																												 "END "
																												 "    "
																												 "ELSE "
																												 "coale"
																												 "sce("
																												 "CASE "
																												 "WHEN "
																												 "x."
																												 "task_"
																												 "run_"
																												 "id "
																												 "IS "
																												 "NULL "
																												 "THEN "
																												 "r."
																												 "ended"
																												 "_at "
																												 "ELSE "
																												 "x."
																												 "ended"
																												 "_at "
																												 "END, "
																												 "clock"
																												 "_time"
																												 "stamp"
																												 "()) "
																												 "END "
																												 "AS "
																												 "at, "
																												 "  "
																												 "CASE "
																												 "WHEN "
																												 "$3 "
																												 "<> 0 "
																												 "THEN "
																												 "c."
																												 "messa"
																												 "ge "
																												 "WHEN "
																												 "x."
																												 "task_"
																												 "run_"
																												 "id "
																												 "IS "
																												 "NULL "
																												 "THEN "
																												 "r."
																												 "messa"
																												 "ge "
																												 "    "
																												 "ELSE "
																												 "coale"
																												 "sce("
																												 "x."
																												 "error"
																												 "_mess"
																												 "age, "
																												 "x."
																												 "messa"
																												 "ge) "
																												 "END "
																												 "AS "
																												 "error"
																												 ", "
																												 "  "
																												 "CASE "
																												 "WHEN "
																												 "$3 = "
																												 "0 "
																												 "THEN "
																												 "nulli"
																												 "f("
																												 "conca"
																												 "t_ws("
																												 "E'"
																												 "\\n',"
																												 " '"
																												 "SQLST"
																												 "ATE "
																												 "' || "
																												 "x."
																												 "error"
																												 "_sqls"
																												 "tate,"
																												 " x."
																												 "error"
																												 "_deta"
																												 "il, "
																												 "x."
																												 "error"
																												 "_hint"
																												 ", "
																												 "    "
																												 "x."
																												 "error"
																												 "_cont"
																												 "ext),"
																												 " '') "
																												 "END "
																												 "AS "
																												 "trace"
																												 ", "
																												 "  "
																												 "coale"
																												 "sce("
																												 "d.e->"
																												 ">'"
																												 "query"
																												 "', "
																												 "d.e->"
																												 ">'"
																												 "comma"
																												 "nd', "
																												 "d.e->"
																												 ">'"
																												 "expre"
																												 "ssion"
																												 "') "
																												 "AS "
																												 "sql, "
																												 "  "
																												 "CASE "
																												 "WHEN "
																												 "x."
																												 "task_"
																												 "run_"
																												 "id "
																												 "IS "
																												 "NULL "
																												 "THEN "
																												 "p."
																												 "descr"
																												 "iptio"
																												 "n "
																												 "ELSE "
																												 "d.e->"
																												 ">'"
																												 "descr"
																												 "iptio"
																												 "n' "
																												 "END "
																												 "AS "
																												 "descr"
																												 "iptio"
																												 "n) "
																												 "AS w "
																												 "WHERE"
																												 " r."
																												 "run_"
																												 "id = "
																												 "$1",
		9,
		{INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, OIDOID, TEXTOID, TEXTOID}};
	Datum value[9];
	char null[9] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};

	value[0] = Int64GetDatum(event->run_id);
	value[1] = Int64GetDatum(event->task_run_id);
	value[2] = Int64GetDatum(event->check_id);
	value[3] = CStringGetTextDatum(event->type);
	value[4] = CStringGetTextDatum(event->namespace);
	value[5] = CStringGetTextDatum(event->route->name);
	value[6] = ObjectIdGetDatum(event->route->owner);
	value[7] = CStringGetTextDatum(event->inputs);
	value[8] = CStringGetTextDatum(event->outputs);
	(void) etl_catalog_call(&insert, value, null, SPI_OK_INSERT);
}

/* etl_lineage_event_assertions reads results of checks; one that was not evaluated has found nothing. */
char *
etl_lineage_event_assertions(int64 task_run_id, int64 check_id)
{
	static EtlStatement list =
		{
			"SELECT jsonb_agg(" STRIPPED("'assertion', c.check_type, 'name', c.check_name, 'success', c.state = "
										 "'pass', "
										 "'severity', CASE WHEN c.state = 'warn' OR c.fail IS NULL THEN 'warn' ELSE "
										 "'error' END, "
										 "'column', CASE WHEN jsonb_array_length(nullif(d.e->'columns', 'null')) = 1 "
										 "THEN d.e->'columns'->>0 END, "
										 "'expected', coalesce(c.fail, c.warn), 'actual', concat_ws(' ', "
										 "c.measured::text, c.unit), "
										 "'description', c.message, 'content', d.e->>'expression', "
										 "'contentType', CASE WHEN d.e->>'expression' IS NOT NULL THEN 'expression' "
										 "END") " ORDER BY c.check_result_id) "
												"  AS assertions "
												"FROM etl.check_result AS c JOIN etl.task_run AS x ON x.task_run_id = "
												"c.task_run_id "
												"JOIN etl.run AS r ON r.run_id = x.run_id "
												"LEFT JOIN LATERAL (SELECT e FROM "
												"jsonb_array_elements(r.definition->'task') AS e "
												"  WHERE (e->>'task_id')::bigint = c.task_id) AS d ON true "
												"WHERE c.task_run_id = $1 AND c.task_id = CASE WHEN $2 <> 0 THEN $2 "
												"ELSE x.task_id END "
												"AND c.state <> 'not_evaluated'",
			2,
			{INT8OID, INT8OID}};
	Datum value[2] = {Int64GetDatum(task_run_id), Int64GetDatum(check_id)};
	EtlScope scope;
	EtlRow row;
	char *text;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	text = etl_row_text(&row, "assertions");
	etl_catalog_end(&scope);
	return text;
}

/* etl_lineage_event_gates lists the checks that were evaluated as part of another task. */
int
etl_lineage_event_gates(int64 task_run_id, EtlLineageCheck **check)
{
	static EtlStatement list = {
		"SELECT DISTINCT ON (c.task_id) c.task_id, c.target, c.state IN ('fail', 'error') AS failed "
		"FROM etl.check_result AS c JOIN etl.task_run AS x ON x.task_run_id = c.task_run_id AND c.task_id <> x.task_id "
		"WHERE x.task_run_id = $1 AND x.state <> 'running' ORDER BY c.task_id, c.check_result_id DESC",
		1,
		{INT8OID}};
	Datum value = Int64GetDatum(task_run_id);
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT);
	*check = MemoryContextAlloc(scope.caller, sizeof(EtlLineageCheck) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*check)[i].task_id = etl_row_int64(&row, "task_id");
		(*check)[i].target = etl_row_text(&row, "target");
		(*check)[i].failed = etl_row_bool(&row, "failed");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_lineage_event_counts reads what an attempt has counted. */
void
etl_lineage_event_counts(int64 task_run_id, int64 *written, int64 *read, int64 *bytes)
{
	static EtlStatement get = {
		"SELECT coalesce(rows_inserted + coalesce(rows_updated, 0), -1) AS written, coalesce(rows_read, -1) AS read, "
		"CASE WHEN kind = 'extract' THEN coalesce(bytes_read, -1) ELSE -1 END AS bytes "
		"FROM etl.task_run WHERE task_run_id = $1",
		1,
		{INT8OID}};
	Datum value = Int64GetDatum(task_run_id);
	EtlScope scope;

	*written = *read = *bytes = -1;
	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		*written = etl_row_int64(&row, "written");
		*read = etl_row_int64(&row, "read");
		*bytes = etl_row_int64(&row, "bytes");
	}
	etl_catalog_end(&scope);
}
