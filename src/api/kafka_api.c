/*
 * kafka_api.c
 *		The SQL function that moves the position of an extract in a Kafka topic by hand.
 */
#include "postgres.h"

#include "access/access.h"
#include "api/args.h"
#include "api/define.h"
#include "catalog/audit_log.h"
#include "catalog/kafka_offset.h"
#include "catalog/pipeline.h"
#include "catalog/task.h"
#include "feed/feed.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "net/endpoint.h"
#include "source/relation.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(etl_set_kafka_offset);

/* get_extract returns the extract to change. Errors: 42704, 22023 when it has no source. */
static EtlTask *
get_extract(const EtlPipeline *pipeline, const char *name)
{
	EtlTask *task = etl_define_find_task(pipeline, name);

	if (task->kind != ETL_TASK_EXTRACT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("task \"%s\" does not read a Kafka topic", name),
				 errdetail("Its kind is %s.", etl_task_kind_name(task->kind)),
				 errhint("Only extracts from tables of etl_kafka have positions in etl.kafka_offset.")));
	return task;
}

/* topic_of returns the topic that an extract reads. Errors: 42P01, 22023. */
static const char *
topic_of(const EtlTask *task)
{
	Oid relid = etl_relation_find(task->source);
	const EtlSource *source;

	if (!OidIsValid(relid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("source %s does not exist", task->source),
						errdetail("It was there when the task was defined."),
						errhint("Create it again, or name another one with etl.alter_task.")));
	source = etl_relation_describe(relid, NULL);
	if (source->fdw == NULL || strcmp(source->fdw, etl_kafka_feed.fdw) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("task \"%s\" does not read a Kafka topic", task->name),
						errdetail("Its source is %s.", task->source),
						errhint("Only extracts from tables of etl_kafka have positions in etl.kafka_offset;"
								" etl.set_watermark is for extracts with a cursor_column.")));
	return etl_endpoint_option(GetForeignTable(relid)->options, "topic");
}

/* number_of returns an argument that is not negative, or -1 for NULL. Errors: 22023. */
static int64
number_of(FunctionCallInfo fcinfo, const char *name, bool is_big)
{
	Datum value;
	int64 number;

	if (!etl_args_find(fcinfo, name, &value))
		return -1;
	number = is_big ? DatumGetInt64(value) : DatumGetInt32(value);
	if (number < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s cannot be negative", name),
						errdetail("It is " INT64_FORMAT ".", number),
						errhint("Partitions and offsets are counted from 0; next_offset NULL means the beginning.")));
	return number;
}

/* old_offset returns the position in a partition as text, or NULL. */
static char *
old_offset(int64 task_id, const char *topic, int64 partition)
{
	EtlKafkaOffset *offset;
	int n = etl_kafka_offset_list(task_id, topic, &offset);

	for (int i = 0; i < n; i++)
		if (offset[i].partition == partition)
			return psprintf(INT64_FORMAT, offset[i].next_offset);
	return NULL;
}

/* etl.set_kafka_offset(pipeline, task, partition, next_offset, reason) RETURNS void */
Datum
etl_set_kafka_offset(PG_FUNCTION_ARGS)
{
	EtlPipeline *pipeline = etl_access_pipeline(etl_args_required(fcinfo, "pipeline"), ETL_LEVEL_OPERATOR);
	EtlTask *task = get_extract(pipeline, etl_args_required(fcinfo, "task"));
	int64 partition = number_of(fcinfo, "partition", false);
	int64 next = number_of(fcinfo, "next_offset", true);
	const char *topic;
	EtlRole role;
	EtlAuditDetail details[5] = {
		{.name = "topic"}, {.name = "partition"}, {.name = "old_value"}, {.name = "new_value"}, {.name = "reason"}};

	if (partition < 0 && next >= 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("next_offset needs a partition"),
						errdetail("Each partition of a topic counts its messages by itself."),
						errhint("Name the partition; NULL for both forgets the positions of all partitions.")));
	etl_define_become(&role, etl_define_task_owner(pipeline, task), task->search_path);
	/* First: a running extract may itself wait for the source. */
	etl_define_refuse_running(task, "the position");
	topic = topic_of(task);
	etl_define_return(&role);
	details[0].value = topic;
	if (partition >= 0)
	{
		details[1].value = psprintf(INT64_FORMAT, partition);
		details[2].value = old_offset(task->task_id, topic, partition);
	}
	details[3].value = next >= 0 ? psprintf(INT64_FORMAT, next) : NULL;
	details[4].value = etl_args_text(fcinfo, "reason");
	if (partition < 0)
		etl_kafka_offset_forget(task->task_id, topic, -1);
	else
		etl_kafka_offset_set(task->task_id, topic, (int) partition, next >= 0 ? next : ETL_KAFKA_BEGINNING);
	etl_audit_log_insert(GetUserId(), "set_kafka_offset", pipeline, task->name, details, lengthof(details));
	PG_RETURN_VOID();
}
