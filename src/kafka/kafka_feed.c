/*
 * kafka_feed.c
 *		The feed of etl_kafka tables. See feed/feed.h.
 *
 * A read goes from the stored offsets to the ends that the partitions had when it began. fetch brings messages, up to the
 * limits of consumer.h, and looks when a partition has reached its end: by its last message, or by the report of librdkafka
 * that it stands at the end, where the last offsets are those of no message (ends of transactions, what was aborted or
 * compacted). next goes through the same messages and reports and moves the positions; save writes them.
 */
#include "postgres.h"

#include "feed/feed.h"
#include "kafka/consumer.h"
#include "kafka/define.h"
#include "kafka/position.h"
#include "kafka/row.h"
#include "miscadmin.h"
#include "observe/progress.h"
#include "portability/instr_time.h"

/* Messages that are taken from librdkafka at once. */
#define POLLED 2000

/* After so many messages librdkafka is woken. */
#define WOKEN 10000

/* After so many ms without a message, what was fetched is handed on rather than waiting for more. */
#define IDLE 300

typedef struct KafkaFeed
{
	EtlFeed base;
	EtlKafkaTable *table;
	EtlKafkaRows *rows;
	EtlKafkaConsumer *consumer; /* NULL: not connected */
	EtlKafkaPlan plan;
	int n_stored;
	EtlKafkaOffset *stored;
	int n;
	EtlKafkaPosition *position;
	int *place;		/* of a partition in position, by its number; -1: none */
	int most;		/* highest number */
	int open;		/* partitions that are not reached */
	int64 fetched;	/* messages */
	int taken;		/* since librdkafka was woken */
	int64 since;	/* when reading began, in ms */
	bool connected; /* positions are known */
	bool stopped;	/* max_records or max_wait */
} KafkaFeed;

/* now returns a time in ms that nobody sets. */
static int64
now(void)
{
	instr_time time;

	INSTR_TIME_SET_CURRENT(time);
	return (int64) INSTR_TIME_GET_MILLISEC(time);
}

/* feed_open reads options, secrets and positions. */
static EtlFeed *
feed_open(const EtlFeedRequest *request)
{
	KafkaFeed *feed = palloc0(sizeof(KafkaFeed));

	feed->base.routine = &etl_kafka_feed;
	feed->base.request = *request;
	feed->table = etl_kafka_table_read(request->source, request->user);
	feed->rows = etl_kafka_row_prepare(feed->table, request->source, request->task);
	feed->n_stored = etl_kafka_define_plan(request, feed->table, &feed->plan, &feed->stored);
	return &feed->base;
}

/* find_stored returns the stored position of a partition, or NULL. */
static const EtlKafkaOffset *
find_stored(const KafkaFeed *feed, int partition)
{
	for (int i = 0; i < feed->n_stored; i++)
		if (feed->stored[i].partition == partition)
			return &feed->stored[i];
	return NULL;
}

/* is_wanted says whether a partition is to be read. */
static bool
is_wanted(const EtlKafkaTable *table, int partition)
{
	for (int i = 0; i < table->n_partitions; i++)
		if (table->partition[i] == partition)
			return true;
	return table->n_partitions == 0;
}

/* refuse_missing refuses partitions that were read before, or are named, and are not in the topic. */
static void
refuse_missing(KafkaFeed *feed, int n)
{
	EtlKafkaProblem problem = {.code = RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION};

	for (int i = 0; feed->plan.keeps && !feed->plan.full_refresh && i < feed->n_stored; i++)
		if (is_wanted(feed->table, feed->stored[i].partition) &&
			(feed->stored[i].partition > feed->most || feed->place[feed->stored[i].partition] < 0))
			etl_kafka_position_refuse_shrunk(&feed->plan, feed->stored[i].partition, n);
	for (int i = 0; i < feed->table->n_partitions; i++)
		if (feed->table->partition[i] > feed->most || feed->place[feed->table->partition[i]] < 0)
		{
			snprintf(problem.text, sizeof(problem.text), "the topic has %d partitions, and none with the number %d", n,
					 feed->table->partition[i]);
			etl_kafka_problem_raise(&problem, feed->table, "read from");
		}
}

/* find_partitions makes a position for each partition that is to be read. */
static void
find_partitions(KafkaFeed *feed)
{
	int *partition;
	int n = etl_kafka_consumer_partitions(feed->consumer, &partition);

	feed->most = n > 0 ? partition[n - 1] : -1;
	feed->place = palloc(sizeof(int) * (feed->most + 1));
	memset(feed->place, -1, sizeof(int) * (feed->most + 1));
	feed->position = palloc0(sizeof(EtlKafkaPosition) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		if (!is_wanted(feed->table, partition[i]))
			continue;
		feed->place[partition[i]] = feed->n;
		feed->position[feed->n].partition = partition[i];
		feed->position[feed->n].stored = find_stored(feed, partition[i]);
		feed->n++;
	}
	refuse_missing(feed, n);
}

/* find_ends asks for what each partition has. */
static void
find_ends(KafkaFeed *feed)
{
	bool by_time = feed->table->start == ETL_KAFKA_MOMENT && feed->plan.keeps && feed->plan.is_first;

	for (int i = 0; i < feed->n; i++)
	{
		EtlKafkaPosition *position = &feed->position[i];

		CHECK_FOR_INTERRUPTS();
		etl_kafka_consumer_watermarks(feed->consumer, position->partition, &position->low, &position->high);
		if (!by_time)
			continue;
		position->moment = etl_kafka_consumer_offset_at(feed->consumer, position->partition, feed->table->start_ms);
		if (position->moment < 0)
			position->moment = position->high;
	}
}

/* tell_lost notes what the policy has left out. */
static void
tell_lost(KafkaFeed *feed)
{
	int64 lost = 0;

	for (int i = 0; i < feed->n; i++)
		lost += feed->position[i].lost;
	if (lost == 0 || feed->base.request.attempt == NULL)
		return;
	etl_attempt_count(feed->base.request.attempt, "lost_offsets", lost);
	etl_attempt_note(feed->base.request.attempt,
					 INT64_FORMAT " offsets of topic \"%s\" were left out: they were deleted before they were read"
								  " (on_out_of_range).",
					 lost, feed->table->topic);
}

/* assign begins to read what is not reached. */
static void
assign(KafkaFeed *feed)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(feed->n);

	for (int i = 0; i < feed->n; i++)
		if (!feed->position[i].reached)
		{
			rd_kafka_topic_partition_list_add(list, feed->table->topic, feed->position[i].partition)->offset =
				feed->position[i].next;
			feed->open++;
		}
	PG_TRY();
	{
		if (feed->open > 0)
			etl_kafka_consumer_assign(feed->consumer, list);
	}
	PG_FINALLY();
	{
		rd_kafka_topic_partition_list_destroy(list);
	}
	PG_END_TRY();
}

/* expect_rows tells how many offsets there are to be read. */
static void
expect_rows(const KafkaFeed *feed)
{
	int64 n = 0;

	for (int i = 0; i < feed->n; i++)
		n += Max(feed->position[i].high - feed->position[i].next, 0);
	etl_progress_step(ETL_STEP_READ);
	etl_progress_total(n, true);
}

/* begin_read finds out where to begin and where to end. */
static void
begin_read(KafkaFeed *feed)
{
	MemoryContext old = MemoryContextSwitchTo(feed->base.request.context);

	feed->consumer = etl_kafka_consumer_open(feed->table);
	find_partitions(feed);
	find_ends(feed);
	etl_kafka_position_plan(&feed->plan, feed->position, feed->n);
	tell_lost(feed);
	expect_rows(feed);
	assign(feed);
	feed->since = now();
	feed->connected = true;
	MemoryContextSwitchTo(old);
}

/* reach notes that nothing more of a partition is wanted. */
static void
reach(KafkaFeed *feed, EtlKafkaPosition *position)
{
	position->reached = true;
	feed->open--;
	if (feed->open > 0)
		etl_kafka_consumer_pause(feed->consumer, position->partition);
}

/*
 * sort_in holds a message, or the report of an end, that belongs to the read, and frees all others; returns the bytes that are
 * held now. What lies behind the end of a partition also shows that it was reached, and is held once.
 */
static size_t
sort_in(KafkaFeed *feed, rd_kafka_message_t *message)
{
	EtlKafkaPosition *position = NULL;
	bool is_end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;

	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && !is_end)
		etl_kafka_consumer_note(feed->consumer, message);
	else if (message->partition >= 0 && message->partition <= feed->most && feed->place[message->partition] >= 0)
		position = &feed->position[feed->place[message->partition]];
	if (position == NULL || position->reached || feed->stopped || (is_end && message->offset < position->high))
	{
		rd_kafka_message_destroy(message);
		return 0;
	}
	etl_kafka_consumer_hold(feed->consumer, message);
	if (message->offset + (is_end ? 0 : 1) >= position->high)
		reach(feed, position);
	if (is_end || message->offset >= position->high)
		return ETL_KAFKA_MESSAGE_BYTES;
	feed->fetched++;
	if (feed->plan.keeps && feed->table->max_records > 0 && feed->fetched >= feed->table->max_records)
		feed->stopped = true;
	return ETL_KAFKA_MESSAGE_BYTES + message->len + message->key_len;
}

/* is_over says whether no more messages are wanted. */
static bool
is_over(KafkaFeed *feed)
{
	if (feed->plan.keeps && feed->table->max_wait > 0 && now() - feed->since >= feed->table->max_wait)
		feed->stopped = true;
	return feed->stopped || feed->open == 0;
}

/*
 * wake_in_time lets librdkafka fetch again each time that so much was taken, and once when nothing more is there. got: what
 * was taken just now; taken: since it was woken last.
 */
static void
wake_in_time(KafkaFeed *feed, int got, int *taken)
{
	*taken += got;
	if (*taken < WOKEN && (got > 0 || *taken == 0))
		return;
	etl_kafka_consumer_wake(feed->consumer);
	*taken = 0;
}

/* fill holds messages until there are enough, or no more come for the moment. */
static void
fill(KafkaFeed *feed)
{
	rd_kafka_message_t *message[POLLED];
	int64 progress = now();
	size_t bytes = 0;

	while (!is_over(feed) && bytes < ETL_KAFKA_MOST_BYTES && !etl_kafka_consumer_has_failed(feed->consumer))
	{
		int room = ETL_KAFKA_MOST_HELD - etl_kafka_consumer_held(feed->consumer);
		int got;

		CHECK_FOR_INTERRUPTS();
		if (room == 0)
			break;
		got = etl_kafka_consumer_poll(feed->consumer, message, Min(room, POLLED));
		wake_in_time(feed, got, &feed->taken);
		for (int i = 0; i < got; i++)
		{
			size_t size = sort_in(feed, message[i]);

			bytes += size;
			if (size > 0)
				progress = now();
		}
		if (etl_kafka_consumer_held(feed->consumer) > 0 && now() - progress > IDLE)
			break;
		if (etl_kafka_consumer_held(feed->consumer) == 0)
			etl_kafka_consumer_check(feed->consumer, now() - progress);
	}
	/* What was fetched before an error is kept; the next call raises it. */
	if (etl_kafka_consumer_held(feed->consumer) == 0)
		etl_kafka_consumer_check(feed->consumer, 0);
}

/* feed_fetch connects when it is called first. */
static void
feed_fetch(EtlFeed *base)
{
	KafkaFeed *feed = (KafkaFeed *) base;

	if (!feed->connected)
		begin_read(feed);
	if (etl_kafka_consumer_held(feed->consumer) == 0 && !is_over(feed))
		fill(feed);
}

/* feed_next takes a message; reports of ends only move positions. */
static EtlFeedStep
feed_next(EtlFeed *base, TupleTableSlot *slot, EtlBadRow *bad)
{
	KafkaFeed *feed = (KafkaFeed *) base;
	const rd_kafka_message_t *message;

	if (!feed->connected)
		return ETL_FEED_PAUSE;
	while ((message = etl_kafka_consumer_take(feed->consumer)) != NULL)
	{
		EtlKafkaPosition *position = &feed->position[feed->place[message->partition]];

		if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF || message->offset >= position->high)
		{
			position->next = position->high;
			continue;
		}
		position->next = message->offset + 1;
		return etl_kafka_row_convert(feed->rows, message, slot, &base->extra, bad);
	}
	return is_over(feed) ? ETL_FEED_END : ETL_FEED_PAUSE;
}

/* feed_save writes what has moved, and all positions once: a partition of which nothing is wanted yet has begun, too. */
static void
feed_save(EtlFeed *base, const char *highest)
{
	KafkaFeed *feed = (KafkaFeed *) base;
	EtlKafkaMove *move = palloc(sizeof(EtlKafkaMove) * Max(feed->n, 1));
	int n = 0;

	for (int i = 0; i < feed->n; i++)
	{
		EtlKafkaPosition *position = &feed->position[i];

		if (position->next == position->saved && position->high == position->saved_end)
			continue;
		move[n++] = (EtlKafkaMove){position->partition, position->saved, position->next, position->high};
		position->saved = position->next;
		position->saved_end = position->high;
	}
	etl_kafka_offset_move(base->request.attempt, feed->table->topic, move, n);
	if (feed->stopped && feed->open > 0 && etl_kafka_consumer_held(feed->consumer) == 0)
		etl_attempt_note(base->request.attempt,
						 "The read ended before the end of topic \"%s\" (max_records, max_wait).", feed->table->topic);
}

/* feed_close ends librdkafka's threads. */
static void
feed_close(EtlFeed *base)
{
	KafkaFeed *feed = (KafkaFeed *) base;

	etl_kafka_consumer_close(feed->consumer);
	feed->consumer = NULL;
}

const EtlFeedRoutine etl_kafka_feed = {
	.name = "kafka",
	.fdw = "etl_kafka",
	.keep_bad = true,
	.open = feed_open,
	.fetch = feed_fetch,
	.next = feed_next,
	.save = feed_save,
	.close = feed_close,
	.define = etl_kafka_define_check,
	.explain = etl_kafka_define_explain,
	.problems = etl_kafka_define_problems,
};
