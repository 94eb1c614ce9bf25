/*
 * define.c
 *		What is known of an extract of a topic without asking a broker. See define.h.
 */
#include "postgres.h"

#include "api/problem.h"
#include "catalog/pipeline.h"
#include "kafka/define.h"
#include "miscadmin.h"
#include "net/endpoint.h"
#include "foreign/foreign.h"

/* etl_kafka_define_plan reads the positions, which a SELECT and a backfill have no use for. */
int
etl_kafka_define_plan(const EtlFeedRequest *request, const EtlKafkaTable *table, EtlKafkaPlan *plan,
					  EtlKafkaOffset **stored)
{
	const EtlAttempt *attempt = request->attempt;
	int n = 0;

	plan->table = table;
	plan->keeps = request->task != NULL && !(attempt != NULL && attempt->is_backfill);
	plan->full_refresh = request->full_refresh;
	plan->run_id = attempt != NULL ? attempt->run_id : 0;
	*stored = NULL;
	if (plan->keeps)
	{
		plan->pipeline = etl_pipeline_parse(etl_pipeline_definition(request->task->pipeline_id))->name;
		plan->task = request->task->name;
		n = etl_kafka_offset_list(request->task->task_id, table->topic, stored);
	}
	plan->is_first = n == 0;
	return n;
}

/* etl_kafka_define_check lets the table be read once. */
void
etl_kafka_define_check(EtlTask *task, const EtlSource *source)
{
	const EtlKafkaTable *table = etl_kafka_table_read(source, GetUserId());

	if (!table->has_fields && table->column[ETL_KAFKA_VALUE] < 0 && table->column[ETL_KAFKA_KEY] < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("source %s takes nothing of the messages", source->name),
				 errdetail("It has no column for key or value, and none for a field of the value."),
				 errhint("Add a column: value jsonb takes the whole value, other names take its fields; columns => of"
						 " the extract may leave it out, too.")));
}

/* explain_start says where a partition without a position begins. */
static char *
explain_start(const EtlKafkaPlan *plan, const EtlKafkaTable *table)
{
	if (!plan->keeps || !plan->is_first || plan->full_refresh || table->start == ETL_KAFKA_EARLIEST)
		return "at the beginning";
	if (table->start == ETL_KAFKA_LATEST)
		return "at the end";
	return psprintf("at the first message of %s or later", table->start_text);
}

/* etl_kafka_define_explain shows topic and positions. */
List *
etl_kafka_define_explain(const EtlFeedRequest *request)
{
	const EtlKafkaTable *table = etl_kafka_table_read(request->source, request->user);
	EtlKafkaOffset *stored;
	EtlKafkaPlan plan;
	int n = etl_kafka_define_plan(request, table, &plan, &stored);
	List *lines = list_make1(
		psprintf("-- topic %s of %s (%s)", table->topic, table->brokers, table->security_protocol));

	for (int i = 0; i < n && !plan.full_refresh; i++)
		if (stored[i].next_offset == ETL_KAFKA_BEGINNING)
			lines = lappend(lines, psprintf("-- partition %d: from its beginning", stored[i].partition));
		else
			lines = lappend(lines, psprintf("-- partition %d: from offset " INT64_FORMAT, stored[i].partition,
											stored[i].next_offset));
	lines = lappend(lines, psprintf("-- %s: %s", n > 0 && !plan.full_refresh ? "other partitions" : "all partitions",
									explain_start(&plan, table)));
	if (plan.keeps && table->max_records > 0)
		lines = lappend(lines, psprintf("-- at most " INT64_FORMAT " messages", table->max_records));
	if (plan.keeps && table->max_wait > 0)
		lines = lappend(lines, psprintf("-- at most %d ms", table->max_wait));
	return lines;
}

/* etl_kafka_define_problems looks at users and passwords. */
List *
etl_kafka_define_problems(const EtlFeedRequest *request)
{
	const EtlKafkaTable *table = etl_kafka_table_read(request->source, request->user);
	EtlEndpoint endpoint = {.server = request->source->server};
	bool has_sasl = etl_kafka_table_has_sasl(table);
	List *list = NIL;

	if (has_sasl && (table->sasl_username == NULL || table->sasl_password == NULL))
		list = etl_problem_add(
			list, true,
			psprintf("Server \"%s\" asks for a user, and the owner of the pipeline has no user mapping with"
					 " sasl_username and sasl_password.",
					 table->server_name),
			psprintf("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (sasl_username '...', sasl_password"
					 " '...').",
					 GetUserNameFromId(request->user, false), table->server_name));
	if (has_sasl && strcmp(table->security_protocol, "sasl_plaintext") == 0 &&
		strcmp(table->sasl_mechanism, "PLAIN") == 0)
		list = etl_problem_add(list, false,
							   psprintf("Server \"%s\" gets the password in clear text.", table->server_name),
							   "Use security_protocol 'sasl_ssl', or a sasl_mechanism of SCRAM.");
	etl_endpoint_read_mapping(&endpoint, request->user);
	if (!has_sasl && etl_endpoint_option(endpoint.mapping_options, "sasl_password") != NULL)
		list = etl_problem_add(list, false,
							   psprintf("Server \"%s\" is not asked with the user of the user mapping, as its"
										" security_protocol is %s.",
										table->server_name, table->security_protocol),
							   "Use security_protocol 'sasl_ssl'.");
	return list;
}
