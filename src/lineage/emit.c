/*
 * emit.c
 *		Events of OpenLineage. See emit.h.
 *
 * An event that cannot be made must not take the change of state along: each is made in a subtransaction, and an error in it becomes a
 * warning. What a task's author wrote is analyzed only when its own worker ends the attempt well, with the owner's rights and the
 * locks that the attempt has anyway; never by the scheduler, which must not wait for anybody's lock.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/lineage_event.h"
#include "catalog/task_run.h"
#include "commands/dbcommands.h"
#include "lineage/dataset.h"
#include "lineage/emit.h"
#include "lineage/facet.h"
#include "lineage/task_flow.h"
#include "miscadmin.h"
#include "notify/route.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* What is to be told. */
typedef struct Subject
{
	int64 run_id;
	int64 task_run_id; /* 0: the run */
	const char *type;
	EtlTask *task;
	EtlAlert alert; /* what routes want to know: the pipeline, its owner and tags, the task */
	List *flows;
	int64 written;
	int64 read;
	int64 bytes;
} Subject;

/* setting returns a text of a route's config, or a default. */
static const char *
setting(const EtlAlertRoute *route, const char *name, const char *otherwise)
{
	const char *value = etl_route_text(route, name);

	return value && value[0] != '\0' ? value : otherwise;
}

/* inputs_of returns what a task reads, as JSON. */
static char *
inputs_of(const Subject *subject, const char *local)
{
	const EtlTask *task = subject->task;
	EtlFacetDataset dataset = {.local = local, .rows = -1, .bytes = -1};
	StringInfoData array;

	initStringInfo(&array);
	appendStringInfoChar(&array, '[');
	for (int i = 0; task != NULL && i < task->reads.n; i++)
	{
		dataset.relation = task->reads.name[i];
		dataset.rows = task->reads.n == 1 ? subject->read : -1;
		dataset.assertions = NULL;
		if (task->kind == ETL_TASK_CHECK && strcmp(dataset.relation, task->target) == 0 &&
			strcmp(subject->type, "START") != 0)
			dataset.assertions = etl_lineage_event_assertions(subject->task_run_id, 0);
		etl_facet_append(&array, &dataset);
	}
	appendStringInfoChar(&array, ']');
	return array.data;
}

/* outputs_of returns what a task writes, as JSON. */
static char *
outputs_of(const Subject *subject, const char *local)
{
	const EtlTask *task = subject->task;
	EtlFacetDataset dataset = {.local = local, .flows = subject->flows, .is_output = true};
	StringInfoData array;

	initStringInfo(&array);
	appendStringInfoChar(&array, '[');
	for (int i = 0; task != NULL && i < task->writes.n; i++)
	{
		dataset.relation = task->writes.name[i];
		dataset.rows = task->writes.n == 1 ? subject->written : -1;
		dataset.bytes = task->writes.n == 1 ? subject->bytes : -1;
		etl_facet_append(&array, &dataset);
	}
	appendStringInfoChar(&array, ']');
	return array.data;
}

/* tell_gate writes the two events of a check that was evaluated as part of an attempt. */
static void
tell_gate(const Subject *subject, const EtlLineageCheck *check, EtlLineageEvent *event, const char *local)
{
	EtlFacetDataset dataset = {.relation = check->target, .local = local, .rows = -1, .bytes = -1};
	EtlLineageEvent own = *event;

	for (int i = 0; i < 2; i++)
	{
		StringInfoData array;

		initStringInfo(&array);
		appendStringInfoChar(&array, '[');
		etl_facet_append(&array, &dataset);
		appendStringInfoChar(&array, ']');
		own.check_id = check->task_id;
		own.type = i == 0 ? "START" : check->failed ? "FAIL" : "COMPLETE";
		own.inputs = array.data;
		own.outputs = "[]";
		etl_lineage_event_insert(&own);
		dataset.assertions = etl_lineage_event_assertions(subject->task_run_id, check->task_id);
	}
}

/* tell_route writes what a route wants to hear of a subject. */
static void
tell_route(const Subject *subject, const EtlAlertRoute *route)
{
	const char *local = setting(route, "dataset_namespace", etl_dataset_local());
	EtlLineageEvent event = {
		.route = route,
		.run_id = subject->run_id,
		.task_run_id = subject->task_run_id,
		.type = subject->type,
		.namespace = setting(route, "namespace", get_database_name(MyDatabaseId)),
		.inputs = inputs_of(subject, local),
		.outputs = outputs_of(subject, local),
	};
	EtlLineageCheck *check;
	int n = 0;

	if (subject->task_run_id != 0 && strcmp(subject->type, "START") != 0)
		n = etl_lineage_event_gates(subject->task_run_id, &check);
	for (int i = 0; i < n; i++)
		tell_gate(subject, &check[i], &event, local);
	etl_lineage_event_insert(&event);
}

/* read_task reads the task of an attempt that begins or ends. */
static void
read_task(Subject *subject)
{
	char *problem;

	subject->task = etl_task_run_task(subject->task_run_id, &subject->run_id);
	if (subject->task == NULL || strcmp(subject->type, "START") == 0)
		return;
	etl_lineage_event_counts(subject->task_run_id, &subject->written, &subject->read, &subject->bytes);
	if (strcmp(subject->type, "COMPLETE") == 0 && subject->task->owner == GetUserId())
		subject->flows = etl_task_flow_guarded(subject->task, &problem);
}

/* tell writes the events of a subject for the routes that want them. */
static void
tell(Subject *subject)
{
	EtlAlertRoute **route;
	bool is_read = false;
	int n;

	if (subject->task_run_id != 0 ? !etl_alert_of_task(subject->task_run_id, &subject->alert)
								  : !etl_alert_of_run(subject->run_id, &subject->alert))
		return;
	subject->run_id = subject->alert.run_id;
	subject->written = subject->read = subject->bytes = -1;
	n = etl_alert_route_list(&route);
	for (int i = 0; i < n; i++)
	{
		if (strcmp(route[i]->channel, ETL_ROUTE_OPENLINEAGE) != 0 || !etl_route_wants(route[i], &subject->alert))
			continue;
		if (!is_read && subject->task_run_id != 0)
			read_task(subject);
		is_read = true;
		tell_route(subject, route[i]);
	}
	if (is_read)
		etl_route_wake();
}

/* guard tells in a subtransaction. A cancel is not swallowed. */
static void
guard(Subject *subject)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext own = AllocSetContextCreate(context, "etl lineage event", ALLOCSET_DEFAULT_SIZES);

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(own);
	PG_TRY();
	{
		tell(subject);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
			ReThrowError(error);
		ereport(WARNING, (errcode(error->sqlerrcode), errmsg("no event of lineage was written: %s", error->message)));
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	MemoryContextDelete(own);
}

/* etl_emit_task tells of an attempt. */
void
etl_emit_task(int64 task_run_id, EtlTaskState from, EtlTaskState to)
{
	Subject subject = {.task_run_id = task_run_id};

	if (to == ETL_TASK_RUNNING)
		subject.type = "START";
	else if (from != ETL_TASK_RUNNING)
		return;
	else if (to == ETL_TASK_SUCCESS || to == ETL_TASK_WARNING)
		subject.type = "COMPLETE";
	else
		subject.type = to == ETL_TASK_FAILED ? "FAIL" : "ABORT";
	if (etl_lineage_event_is_wanted())
		guard(&subject);
}

/* etl_emit_run tells of a run. */
void
etl_emit_run(int64 run_id, EtlRunState from, EtlRunState to)
{
	Subject subject = {.run_id = run_id};

	if (to == ETL_RUN_RUNNING)
		subject.type = "START";
	else if (from != ETL_RUN_RUNNING || to == ETL_RUN_QUEUED)
		return;
	else if (to == ETL_RUN_SUCCESS || to == ETL_RUN_WARNING)
		subject.type = "COMPLETE";
	else
		subject.type = to == ETL_RUN_FAILED ? "FAIL" : "ABORT";
	if (etl_lineage_event_is_wanted())
		guard(&subject);
}
