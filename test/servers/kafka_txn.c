/*
 * kafka_txn.c
 *		Messages of a transaction, for the tests: what kcat cannot produce.
 *
 * kafka_txn BROKERS TOPIC COUNT commit|abort|open [PARTITION [PREFIX]]
 *
 * COUNT messages with the keys and values PREFIX1, PREFIX2, ... (the prefix is "m" when none is given) go to PARTITION
 * (0). All of them are in the topic before the transaction ends, also before it is aborted. With "open" it stays open
 * until standard input ends, and is aborted then; "open" is printed when the messages are there.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 30000

static int undelivered = 0;

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "kafka_txn: %s: %s\n", what, why);
	exit(1);
}

/* check ends the program when an operation of a transaction failed. */
static void
check(const char *what, rd_kafka_error_t *error)
{
	if (error != NULL)
		fail(what, rd_kafka_error_string(error));
}

static void
delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
	(void) producer;
	(void) opaque;
	if (message->err)
		undelivered++;
}

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char		error[256];

	if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK)
		fail(name, error);
}

/* make_producer returns a producer with an id of its own, so that nobody's transaction is fenced off. */
static rd_kafka_t *
make_producer(const char *brokers)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *producer;
	char		id[64];
	char		error[256];

	snprintf(id, sizeof(id), "kafka_txn-%ld", (long) getpid());
	set(conf, "bootstrap.servers", brokers);
	set(conf, "transactional.id", id);
	/* No warnings: the first transaction of a broker has to wait a little. */
	set(conf, "log_level", "3");
	rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (producer == NULL)
		fail("rd_kafka_new", error);
	return producer;
}

/* produce sends the messages and waits until the broker has them. */
static void
produce(rd_kafka_t *producer, const char *topic, int partition, long count, const char *prefix)
{
	for (long i = 1; i <= count; i++)
	{
		rd_kafka_resp_err_t err;
		char		text[256];

		snprintf(text, sizeof(text), "%s%ld", prefix, i);
		do
		{
			err = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
									RD_KAFKA_V_KEY(text, strlen(text)), RD_KAFKA_V_VALUE(text, strlen(text)),
									RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
			rd_kafka_poll(producer, err == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 100 : 0);
		} while (err == RD_KAFKA_RESP_ERR__QUEUE_FULL);
		if (err)
			fail("produce", rd_kafka_err2str(err));
	}
	if (rd_kafka_flush(producer, WAIT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR || undelivered > 0)
		fail("produce", "not every message was delivered");
}

int
main(int argc, char **argv)
{
	const char *end = argc > 4 ? argv[4] : "";
	int			partition = argc > 5 ? atoi(argv[5]) : 0;
	const char *prefix = argc > 6 ? argv[6] : "m";
	rd_kafka_t *producer;

	if (argc < 5 || argc > 7 || (strcmp(end, "commit") != 0 && strcmp(end, "abort") != 0 && strcmp(end, "open") != 0))
	{
		fprintf(stderr, "usage: kafka_txn BROKERS TOPIC COUNT commit|abort|open [PARTITION [PREFIX]]\n");
		return 2;
	}
	producer = make_producer(argv[1]);
	check("init", rd_kafka_init_transactions(producer, WAIT_MS));
	check("begin", rd_kafka_begin_transaction(producer));
	produce(producer, argv[2], partition, atol(argv[3]), prefix);
	if (strcmp(end, "open") == 0)
	{
		puts("open");
		fflush(stdout);
		while (getchar() != EOF)
			;
	}
	if (strcmp(end, "commit") == 0)
		check("commit", rd_kafka_commit_transaction(producer, WAIT_MS));
	else
		check("abort", rd_kafka_abort_transaction(producer, WAIT_MS));
	rd_kafka_destroy(producer);
	return 0;
}
