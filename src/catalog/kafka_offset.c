/*
 * kafka_offset.c
 *		etl.kafka_offset: how far each extract of a topic has come. See kafka_offset.h.
 */
#include "postgres.h"

#include "catalog/kafka_offset.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "errors.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* etl_kafka_offset_list reads them. */
int
etl_kafka_offset_list(int64 task_id, const char *topic, EtlKafkaOffset **offset)
{
	static EtlStatement statement = {"SELECT partition, next_offset, coalesce(end_offset, -1) AS end_offset,"
									 " coalesce(run_id, 0) AS run_id FROM etl.kafka_offset"
									 " WHERE task_id = $1 AND topic = $2 ORDER BY partition",
									 2,
									 {INT8OID, TEXTOID}};
	Datum value[2] = {Int64GetDatum(task_id), CStringGetTextDatum(topic)};
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&statement, value, NULL, SPI_OK_SELECT);
	*offset = MemoryContextAllocZero(scope.caller, sizeof(EtlKafkaOffset) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*offset)[i].partition = etl_row_int32(&row, "partition");
		(*offset)[i].next_offset = etl_row_int64(&row, "next_offset");
		(*offset)[i].end_offset = etl_row_int64(&row, "end_offset");
		(*offset)[i].run_id = etl_row_int64(&row, "run_id");
	}
	etl_catalog_end(&scope);
	return n;
}

/* array_of makes an array of the numbers that a statement takes; what: partition, from, next or end of a move. */
static Datum
array_of(const EtlKafkaMove *move, int n, char what)
{
	Datum *element = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		switch (what)
		{
			case 'p':
				element[i] = Int64GetDatum(move[i].partition);
				break;
			case 'f':
				element[i] = Int64GetDatum(move[i].from);
				break;
			case 'n':
				element[i] = Int64GetDatum(move[i].next);
				break;
			default:
				element[i] = Int64GetDatum(move[i].end);
				break;
		}
	return PointerGetDatum(construct_array(element, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* etl_kafka_offset_move moves all or none. */
void
etl_kafka_offset_move(const EtlAttempt *attempt, const char *topic, const EtlKafkaMove *move, int n)
{
	static EtlStatement update = {
		"UPDATE etl.kafka_offset AS o SET next_offset = m.next, end_offset = m.upto, leader_epoch = NULL,"
		" run_id = nullif($7, 0), updated_at = $8 FROM unnest($3, $4, $5, $6) AS m (partition, was, next, upto)"
		" WHERE o.task_id = $1 AND o.topic = $2 AND o.partition = m.partition AND o.next_offset = m.was",
		8,
		{INT8OID, TEXTOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8OID, TIMESTAMPTZOID}};
	static EtlStatement insert = {
		"INSERT INTO etl.kafka_offset (task_id, topic, partition, next_offset, end_offset, run_id, updated_at)"
		" SELECT $1, $2, m.partition, m.next, m.upto, nullif($7, 0), $8"
		" FROM unnest($3, $4, $5, $6) AS m (partition, was, next, upto) WHERE m.was = -1 ON CONFLICT DO NOTHING",
		8,
		{INT8OID, TEXTOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8OID, TIMESTAMPTZOID}};
	Datum value[8] = {Int64GetDatum(attempt->task->task_id),
					  CStringGetTextDatum(topic),
					  array_of(move, n, 'p'),
					  array_of(move, n, 'f'),
					  array_of(move, n, 'n'),
					  array_of(move, n, 'e'),
					  Int64GetDatum(attempt->run_id),
					  TimestampTzGetDatum(GetCurrentTimestamp())};
	uint64 moved;

	if (n == 0)
		return;
	moved = etl_catalog_call(&update, value, NULL, SPI_OK_UPDATE);
	if (moved < n)
		moved += etl_catalog_call(&insert, value, NULL, SPI_OK_INSERT);
	if (moved != n)
		ereport(ERROR, (errcode(ERRCODE_ETL_STALE_ATTEMPT),
						errmsg("attempt " INT64_FORMAT " no longer reads topic \"%s\" and may not commit",
							   attempt->task_run_id, topic),
						errdetail("Another attempt, or etl.set_kafka_offset, has moved a position in"
								  " etl.kafka_offset.")));
}

/* etl_kafka_offset_set leaves end_offset open: the topic may be another one of the same name. */
void
etl_kafka_offset_set(int64 task_id, const char *topic, int partition, int64 next_offset)
{
	static EtlStatement statement = {
		"INSERT INTO etl.kafka_offset AS o (task_id, topic, partition, next_offset, updated_at)"
		" VALUES ($1, $2, $3, $4, $5) ON CONFLICT (task_id, topic, partition) DO UPDATE SET"
		" next_offset = excluded.next_offset, end_offset = NULL, leader_epoch = NULL, run_id = NULL,"
		" updated_at = excluded.updated_at",
		5,
		{INT8OID, TEXTOID, INT4OID, INT8OID, TIMESTAMPTZOID}};
	Datum value[5] = {Int64GetDatum(task_id), CStringGetTextDatum(topic), Int32GetDatum(partition),
					  Int64GetDatum(next_offset), TimestampTzGetDatum(GetCurrentTimestamp())};

	(void) etl_catalog_call(&statement, value, NULL, SPI_OK_INSERT);
}

/* etl_kafka_offset_forget removes rows. */
void
etl_kafka_offset_forget(int64 task_id, const char *topic, int partition)
{
	static EtlStatement statement = {"DELETE FROM etl.kafka_offset WHERE task_id = $1 AND topic = coalesce($2, topic)"
									 " AND partition = CASE WHEN $3 < 0 THEN partition ELSE $3 END",
									 3,
									 {INT8OID, TEXTOID, INT4OID}};
	Datum value[3];
	char null[] = "   ";

	value[0] = Int64GetDatum(task_id);
	value[1] = etl_arg_text(topic, &null[1]);
	value[2] = Int32GetDatum(partition);
	(void) etl_catalog_call(&statement, value, null, SPI_OK_DELETE);
}
