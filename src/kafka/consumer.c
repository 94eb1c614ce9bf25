/*
 * consumer.c
 *		A consumer of librdkafka that PostgreSQL's thread can interrupt. See consumer.h.
 *
 * librdkafka's questions to brokers wait by themselves and cannot be interrupted; they are asked with short time limits,
 * again and again: at first 200 ms, longer when brokers turn out to be slow.
 */
#include "postgres.h"

#include "kafka/config.h"
#include "kafka/consumer.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#define FIRST_SLICE 200
#define LONGEST_SLICE 3200
/* Wait between two questions of which the first was refused at once. */
#define PAUSE 100
/* How long no broker may be reachable before an attempt gives up, while nothing was ever reached. */
#define PATIENCE 3000
/* Wait for messages; short, as librdkafka waits all of it where fewer come than were asked for. */
#define POLL_TIME 20

struct EtlKafkaConsumer
{
	dlist_node node;
	const EtlKafkaTable *table;
	EtlKafkaGuard *guard;
	rd_kafka_t *handle; /* NULL: closed */
	rd_kafka_queue_t *messages;
	rd_kafka_queue_t *events;
	rd_kafka_topic_partition_list_t *assigned; /* NULL: nothing yet */
	EtlKafkaProblem problem;
	bool connected; /* a broker has answered */
	int n;			/* held */
	int taken;		/* of these, given out; the last one is still in use */
	rd_kafka_message_t *held[ETL_KAFKA_MOST_HELD];
};

/* All consumers of this process. */
static dlist_head consumers = DLIST_STATIC_INIT(consumers);

/* now returns a time in ms that nobody sets. */
static int64
now(void)
{
	instr_time time;

	INSTR_TIME_SET_CURRENT(time);
	return (int64) INSTR_TIME_GET_MILLISEC(time);
}

/* release ends what librdkafka does for a consumer: messages first, then queues, then the consumer with its threads. */
static void
release(EtlKafkaConsumer *consumer)
{
	if (consumer->handle == NULL)
		return;
	for (int i = Max(consumer->taken - 1, 0); i < consumer->n; i++)
		rd_kafka_message_destroy(consumer->held[i]);
	consumer->n = consumer->taken = 0;
	if (consumer->assigned != NULL)
		rd_kafka_topic_partition_list_destroy(consumer->assigned);
	consumer->assigned = NULL;
	rd_kafka_queue_destroy(consumer->messages);
	rd_kafka_queue_destroy(consumer->events);
	rd_kafka_destroy_flags(consumer->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	consumer->handle = NULL;
}

/* release_all is called when the process ends. */
static void
release_all(int code, Datum arg)
{
	dlist_iter iter;

	dlist_foreach(iter, &consumers) release(dlist_container(EtlKafkaConsumer, node, iter.cur));
}

/* register_exit lets that be called, once in a process. */
static void
register_exit(void)
{
	static bool registered = false;

	if (registered)
		return;
	before_shmem_exit(release_all, (Datum) 0);
	registered = true;
}

/* start gives the configuration to librdkafka. */
static void
start(EtlKafkaConsumer *consumer, rd_kafka_conf_t *conf)
{
	char why[256];

	consumer->handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
	if (consumer->handle != NULL)
	{
		consumer->messages = rd_kafka_queue_get_consumer(consumer->handle);
		consumer->events = rd_kafka_queue_get_main(consumer->handle);
		rd_kafka_set_log_queue(consumer->handle, NULL);
		return;
	}
	rd_kafka_conf_destroy(conf);
	ereport(ERROR, (errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
					errmsg("librdkafka cannot use the options of server \"%s\"", consumer->table->server_name),
					errdetail("librdkafka: %s.", why),
					errhint("Correct them with ALTER SERVER; certificates are in ssl_ca_pem or etl.tls_ca_file.")));
}

/* etl_kafka_consumer_open makes it. */
EtlKafkaConsumer *
etl_kafka_consumer_open(const EtlKafkaTable *table)
{
	EtlKafkaConsumer *consumer;

	Assert(IsUnderPostmaster || !IsPostmasterEnvironment);
	register_exit();
	consumer = calloc(1, sizeof(EtlKafkaConsumer));
	if (consumer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	dlist_push_tail(&consumers, &consumer->node);
	consumer->table = table;
	PG_TRY();
	{
		consumer->guard = etl_kafka_guard_make();
		start(consumer, etl_kafka_config_make(table, consumer->guard));
	}
	PG_CATCH();
	{
		etl_kafka_consumer_close(consumer);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return consumer;
}

/* etl_kafka_consumer_close frees everything. */
void
etl_kafka_consumer_close(EtlKafkaConsumer *consumer)
{
	if (consumer == NULL)
		return;
	release(consumer);
	etl_kafka_guard_free(consumer->guard);
	dlist_delete(&consumer->node);
	free(consumer);
}

/* watch takes what librdkafka reports beside messages. */
static void
watch(EtlKafkaConsumer *consumer)
{
	rd_kafka_event_t *event;

	while ((event = rd_kafka_queue_poll(consumer->events, 0)) != NULL)
	{
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR &&
			!etl_kafka_problem_is_of_groups(rd_kafka_event_error(event)))
			etl_kafka_problem_keep(&consumer->problem, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
		rd_kafka_event_destroy(event);
	}
}

/* fail raises an error for what is known. */
static void
fail(EtlKafkaConsumer *consumer, rd_kafka_resp_err_t code, const char *what)
{
	etl_kafka_guard_check(consumer->guard);
	if (consumer->problem.code == RD_KAFKA_RESP_ERR_NO_ERROR)
		etl_kafka_problem_keep(&consumer->problem, code, NULL);
	etl_kafka_problem_raise(&consumer->problem, consumer->table, what);
}

/* rest waits a little, so that a question that is refused at once is not asked without end. */
static void
rest(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, PAUSE, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Time limits of one question. */
typedef struct Question
{
	const char *what;
	int64 since;
	int slice;
} Question;

/* ask_again decides, after an answer, whether the question is asked once more; errors that time will not mend are raised. */
static bool
ask_again(EtlKafkaConsumer *consumer, Question *question, rd_kafka_resp_err_t code)
{
	int64 waited = now() - question->since;
	EtlKafkaProblem answer = {0};

	CHECK_FOR_INTERRUPTS();
	watch(consumer);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		/* What came before was overcome. */
		consumer->connected = true;
		consumer->problem.code = RD_KAFKA_RESP_ERR_NO_ERROR;
		return false;
	}
	etl_kafka_problem_keep(&answer, code, NULL);
	if (etl_kafka_problem_is_final(&answer))
		consumer->problem = answer;
	if (etl_kafka_problem_is_final(&consumer->problem))
		fail(consumer, code, question->what);
	if (waited > PATIENCE)
		etl_kafka_guard_check(consumer->guard);
	if (!consumer->connected && waited > PATIENCE && consumer->problem.code != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail(consumer, code, question->what);
	if (waited > consumer->table->timeout)
		fail(consumer, code, question->what);
	if (code == RD_KAFKA_RESP_ERR__TIMED_OUT)
		question->slice = Min(question->slice * 2, LONGEST_SLICE);
	else
		rest();
	return true;
}

/* read_metadata takes the partitions out of an answer; an error of the topic is returned. */
static rd_kafka_resp_err_t
read_metadata(const rd_kafka_metadata_t *metadata, int **partition, int *n)
{
	const rd_kafka_metadata_topic_t *topic;

	if (metadata->topic_cnt != 1)
		return RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
	topic = &metadata->topics[0];
	if (topic->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return topic->err;
	*n = topic->partition_cnt;
	*partition = palloc(sizeof(int) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		(*partition)[i] = topic->partitions[i].id;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* compare_ints is for qsort. */
static int
compare_ints(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

/* etl_kafka_consumer_partitions asks for metadata. */
int
etl_kafka_consumer_partitions(EtlKafkaConsumer *consumer, int **partition)
{
	Question question = {"connect to", now(), FIRST_SLICE};
	rd_kafka_resp_err_t code;
	int n = 0;

	do
	{
		rd_kafka_topic_t *topic = rd_kafka_topic_new(consumer->handle, consumer->table->topic, NULL);
		const struct rd_kafka_metadata *metadata = NULL;

		if (topic == NULL)
			fail(consumer, rd_kafka_last_error(), question.what);
		code = rd_kafka_metadata(consumer->handle, 0, topic, &metadata, question.slice);
		rd_kafka_topic_destroy(topic);
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			code = read_metadata(metadata, partition, &n);
			rd_kafka_metadata_destroy(metadata);
		}
	} while (ask_again(consumer, &question, code));
	qsort(*partition, n, sizeof(int), compare_ints);
	return n;
}

/* etl_kafka_consumer_watermarks asks the leader of the partition. */
void
etl_kafka_consumer_watermarks(EtlKafkaConsumer *consumer, int partition, int64 *low, int64 *high)
{
	Question question = {"find the end of the topic on", now(), FIRST_SLICE};
	rd_kafka_resp_err_t code;
	int64_t first = 0;
	int64_t last = 0;

	do
	{
		code = rd_kafka_query_watermark_offsets(consumer->handle, consumer->table->topic, partition, &first, &last,
												question.slice);
	} while (ask_again(consumer, &question, code));
	*low = first;
	*high = last;
}

/* etl_kafka_consumer_offset_at asks for one partition, in which there may be no such message. */
int64
etl_kafka_consumer_offset_at(EtlKafkaConsumer *consumer, int partition, int64 ms)
{
	Question question = {"find the start in the topic on", now(), FIRST_SLICE};
	rd_kafka_resp_err_t code;
	int64 offset;

	do
	{
		rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

		rd_kafka_topic_partition_list_add(list, consumer->table->topic, partition)->offset = ms;
		code = rd_kafka_offsets_for_times(consumer->handle, list, question.slice);
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
			code = list->elems[0].err;
		offset = list->elems[0].offset;
		rd_kafka_topic_partition_list_destroy(list);
	} while (ask_again(consumer, &question, code));
	return offset >= 0 ? offset : -1;
}

/* etl_kafka_consumer_assign makes no group. */
void
etl_kafka_consumer_assign(EtlKafkaConsumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_resp_err_t code = rd_kafka_assign(consumer->handle, list);

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail(consumer, code, "read from");
	consumer->assigned = rd_kafka_topic_partition_list_copy(list);
}

/* etl_kafka_consumer_wake asks all leaders for the ends of their partitions, and does not wait for the answer. */
void
etl_kafka_consumer_wake(EtlKafkaConsumer *consumer)
{
	for (int i = 0; i < consumer->assigned->cnt; i++)
		consumer->assigned->elems[i].offset = RD_KAFKA_OFFSET_END;
	(void) rd_kafka_offsets_for_times(consumer->handle, consumer->assigned, 0);
}

/* etl_kafka_consumer_poll waits POLL_TIME at most. */
int
etl_kafka_consumer_poll(EtlKafkaConsumer *consumer, rd_kafka_message_t **message, int n)
{
	ssize_t got = rd_kafka_consume_batch_queue(consumer->messages, POLL_TIME, message, n);

	watch(consumer);
	return got > 0 ? (int) got : 0;
}

/* etl_kafka_consumer_pause lets librdkafka fetch no more of a partition. */
void
etl_kafka_consumer_pause(EtlKafkaConsumer *consumer, int partition)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

	rd_kafka_topic_partition_list_add(list, consumer->table->topic, partition);
	(void) rd_kafka_pause_partitions(consumer->handle, list);
	rd_kafka_topic_partition_list_destroy(list);
}

/* etl_kafka_consumer_note leaves out what concerns groups. */
void
etl_kafka_consumer_note(EtlKafkaConsumer *consumer, const rd_kafka_message_t *message)
{
	if (!etl_kafka_problem_is_of_groups(message->err))
		etl_kafka_problem_keep(&consumer->problem, message->err, rd_kafka_message_errstr(message));
}

/* etl_kafka_consumer_has_failed looks at the worst that has happened. */
bool
etl_kafka_consumer_has_failed(EtlKafkaConsumer *consumer)
{
	return etl_kafka_problem_is_final(&consumer->problem);
}

/* etl_kafka_consumer_check raises what is there. */
void
etl_kafka_consumer_check(EtlKafkaConsumer *consumer, int64 idle)
{
	if (etl_kafka_consumer_has_failed(consumer) || idle > consumer->table->timeout)
		fail(consumer, RD_KAFKA_RESP_ERR__TIMED_OUT, "read from");
	if (idle > PATIENCE)
		etl_kafka_guard_check(consumer->guard);
	if (idle == 0)
		consumer->problem.code = RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* etl_kafka_consumer_hold puts a message behind the others. */
void
etl_kafka_consumer_hold(EtlKafkaConsumer *consumer, rd_kafka_message_t *message)
{
	Assert(consumer->n < ETL_KAFKA_MOST_HELD);
	consumer->held[consumer->n++] = message;
}

/* etl_kafka_consumer_take frees the message that was taken before. */
const rd_kafka_message_t *
etl_kafka_consumer_take(EtlKafkaConsumer *consumer)
{
	if (consumer->taken > 0)
		rd_kafka_message_destroy(consumer->held[consumer->taken - 1]);
	if (consumer->taken == consumer->n)
	{
		consumer->taken = consumer->n = 0;
		return NULL;
	}
	return consumer->held[consumer->taken++];
}

/* etl_kafka_consumer_held counts those that were not taken. */
int
etl_kafka_consumer_held(const EtlKafkaConsumer *consumer)
{
	return consumer->n - consumer->taken;
}
