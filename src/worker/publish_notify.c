/*
 * publish_notify.c
 *		NOTIFY etl_publish. See publish_notify.h.
 */
#include "postgres.h"

#include "commands/async.h"
#include "lib/stringinfo.h"
#include "utils/json.h"
#include "worker/publish_notify.h"

/* Longest payload that NOTIFY takes, in bytes. */
#define MAX_PAYLOAD 7999

/* has_changed says whether a load or aggregate has changed rows of its target. */
static bool
has_changed(const EtlWork *work)
{
	const EtlTask *task = work->attempt.task;
	const EtlCounts *counts = &work->attempt.counts;

	if (task->kind != ETL_TASK_LOAD && task->kind != ETL_TASK_AGGREGATE)
		return false;
	return counts->inserted > 0 || counts->updated > 0 || counts->deleted > 0;
}

/* add_name adds a name to a list, unless it is there. */
static void
add_name(EtlNames *names, char *name)
{
	for (int i = 0; i < names->n; i++)
		if (strcmp(names->name[i], name) == 0)
			return;
	names->name[names->n++] = name;
}

/* put_names writes a member of the object that is a list of names. */
static void
put_names(StringInfo payload, const char *member, const EtlNames *names)
{
	appendStringInfo(payload, ", \"%s\": [", member);
	for (int i = 0; i < names->n; i++)
	{
		if (i > 0)
			appendStringInfoString(payload, ", ");
		escape_json(payload, names->name[i]);
	}
	appendStringInfoChar(payload, ']');
}

/* write_payload writes the object; tasks and targets may be NULL, to leave them out. */
static char *
write_payload(const char *pipeline, int64 run_id, const EtlNames *tasks, const EtlNames *targets)
{
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfoString(&payload, "{\"pipeline\": ");
	escape_json(&payload, pipeline);
	appendStringInfo(&payload, ", \"run_id\": " INT64_FORMAT, run_id);
	if (tasks != NULL)
		put_names(&payload, "tasks", tasks);
	if (targets != NULL)
		put_names(&payload, "targets", targets);
	appendStringInfoChar(&payload, '}');
	return payload.data;
}

/* etl_publish_notify leaves out targets, then tasks, where the payload would be too long. */
void
etl_publish_notify(const EtlWork *const *work, int n)
{
	EtlNames tasks = {0, palloc(sizeof(char *) * n)};
	EtlNames targets = {0, palloc(sizeof(char *) * n)};
	int64 run_id = work[0]->attempt.run_id;
	char *pipeline;
	char *payload;

	for (int i = 0; i < n; i++)
	{
		if (!has_changed(work[i]))
			continue;
		tasks.name[tasks.n++] = work[i]->attempt.task->name;
		add_name(&targets, work[i]->attempt.task->target);
	}
	if (tasks.n == 0)
		return;
	pipeline = etl_run_pipeline_name(run_id);
	if (pipeline == NULL)
		elog(ERROR, "run " INT64_FORMAT " has lost its pipeline", run_id);
	payload = write_payload(pipeline, run_id, &tasks, &targets);
	if (strlen(payload) > MAX_PAYLOAD)
		payload = write_payload(pipeline, run_id, &tasks, NULL);
	if (strlen(payload) > MAX_PAYLOAD)
		payload = write_payload(pipeline, run_id, NULL, NULL);
	Async_Notify(ETL_PUBLISH_CHANNEL, payload);
}
