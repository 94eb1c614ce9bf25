/*
 * position.c
 *		Where a read of a topic begins and ends in each partition. See position.h.
 */
#include "postgres.h"

#include "kafka/position.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

/* Most partitions that a message lists. */
#define MOST_LISTED 10

/* hint_call returns the call that moves a position. */
static char *
hint_call(const EtlKafkaPlan *plan, const char *partition, const char *next)
{
	return psprintf("SELECT etl.set_kafka_offset(%s, %s, %s, %s, reason => '...')", quote_literal_cstr(plan->pipeline),
					quote_literal_cstr(plan->task), partition, next);
}

/* refuse_recreated raises the error for a topic that ends before what was read of it. */
static void
refuse_recreated(const EtlKafkaPlan *plan, const EtlKafkaPosition *position)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("topic \"%s\" is not the one that was read before", plan->table->topic),
			 errdetail("Partition %d ended at offset " INT64_FORMAT " when it was read last and ends at " INT64_FORMAT
					   " now: the topic was created anew, or its messages were cut off.",
					   position->partition, Max(position->stored->end_offset, position->stored->next_offset),
					   position->high),
			 errhint("%s lets the next run read the topic from its start.", hint_call(plan, "NULL", "NULL"))));
}

/* etl_kafka_position_refuse_shrunk raises the same error for a partition that is gone. */
void
etl_kafka_position_refuse_shrunk(const EtlKafkaPlan *plan, int partition, int n)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("topic \"%s\" is not the one that was read before", plan->table->topic),
					errdetail("Partition %d was read before; the topic has %d partitions now.", partition, n),
					errhint("%s lets the next run read the topic from its start.", hint_call(plan, "NULL", "NULL"))));
}

/* refuse_lost raises the error for messages that were deleted before they were read. */
static void
refuse_lost(const EtlKafkaPlan *plan, const EtlKafkaPosition *position, int n)
{
	const EtlKafkaPosition *first = NULL;
	StringInfoData detail;
	int listed = 0;

	initStringInfo(&detail);
	for (int i = 0; i < n; i++)
	{
		if (position[i].lost == 0)
			continue;
		if (first == NULL)
			first = &position[i];
		if (listed++ == MOST_LISTED)
			appendStringInfoString(&detail, " There are more partitions.");
		if (listed > MOST_LISTED)
			continue;
		appendStringInfo(&detail,
						 "%sPartition %d: offsets " INT64_FORMAT " to " INT64_FORMAT " were deleted at the source; it"
						 " begins at " INT64_FORMAT " now.",
						 listed > 1 ? " " : "", position[i].partition, position[i].stored->next_offset,
						 position[i].low - 1, position[i].low);
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("topic \"%s\" no longer has the messages that would be read next", plan->table->topic),
			 errdetail("%s", detail.data),
			 errhint("%s goes on behind the gap, in each partition that has one; with on_out_of_range 'earliest' or"
					 " 'latest' on the foreign table every run does so by itself.",
					 hint_call(plan, psprintf("%d", first->partition), psprintf(INT64_FORMAT, first->low)))));
}

/* first_offset is where a partition begins that has no position. */
static int64
first_offset(const EtlKafkaPlan *plan, const EtlKafkaPosition *position)
{
	/* A partition that is new has nothing that anybody wanted to leave out. */
	if (!plan->keeps || !plan->is_first || plan->full_refresh)
		return position->low;
	switch (plan->table->start)
	{
		case ETL_KAFKA_LATEST:
			return position->high;
		case ETL_KAFKA_MOMENT:
			return Min(Max(position->moment, position->low), position->high);
		default:
			return position->low;
	}
}

/* go_on decides for a partition that was read before. */
static void
go_on(const EtlKafkaPlan *plan, EtlKafkaPosition *position)
{
	const EtlKafkaOffset *stored = position->stored;

	position->next = stored->next_offset;
	if (stored->next_offset == ETL_KAFKA_BEGINNING)
		position->next = position->low;
	/* A repeated attempt of a full refresh goes on where that run has come. */
	else if (plan->full_refresh && stored->run_id != plan->run_id)
		position->next = position->low;
	else if (stored->next_offset > position->high || stored->end_offset > position->high)
		refuse_recreated(plan, position);
	else if (stored->next_offset < position->low)
	{
		position->next = plan->table->out_of_range == ETL_KAFKA_LATEST ? position->high : position->low;
		position->lost = position->next - stored->next_offset;
	}
}

/* etl_kafka_position_plan decides partition by partition. */
void
etl_kafka_position_plan(const EtlKafkaPlan *plan, EtlKafkaPosition *position, int n)
{
	bool lost = false;

	for (int i = 0; i < n; i++)
	{
		position[i].saved = -1;
		position[i].saved_end = -1;
		if (plan->keeps && position[i].stored != NULL)
		{
			position[i].saved = position[i].stored->next_offset;
			position[i].saved_end = position[i].stored->end_offset;
			go_on(plan, &position[i]);
		}
		else
			position[i].next = first_offset(plan, &position[i]);
		lost |= position[i].lost > 0;
		position[i].reached = position[i].next >= position[i].high;
	}
	if (lost && plan->table->out_of_range == ETL_KAFKA_ERROR)
		refuse_lost(plan, position, n);
}
