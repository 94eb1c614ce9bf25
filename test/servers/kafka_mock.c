/*
 * kafka_mock.c
 *		A mock cluster of librdkafka with one topic, for faults that a real broker does not make on demand.
 *
 * kafka_mock TOPIC PARTITIONS COUNT
 *
 * COUNT messages with the values {"n": 1}, {"n": 2}, ... are spread over the partitions; then the address of the brokers is
 * printed. Commands come from standard input, one a line; each is answered by "ok":
 *
 *		error API CODE TIMES	the next TIMES answers to requests of that API (1: Fetch, 2: ListOffsets, 3: Metadata) are
 *								errors; CODE as in the protocol, -195 breaks the connection off
 *		down | up				the broker refuses connections, and accepts them again
 *		rtt MS					it answers that late
 *		produce COUNT			more messages
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long produced = 0;

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "kafka_mock: %s: %s\n", what, why);
	exit(1);
}

/* produce adds messages and waits until they are there. */
static void
produce(rd_kafka_t *producer, const char *topic, int partitions, long count)
{
	char		value[64];

	for (long i = 0; i < count; i++)
	{
		rd_kafka_resp_err_t err;

		snprintf(value, sizeof(value), "{\"n\": %ld}", ++produced);
		err = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION((int) (produced % partitions)),
								RD_KAFKA_V_VALUE(value, strlen(value)), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
								RD_KAFKA_V_END);
		if (err)
			fail("produce", rd_kafka_err2str(err));
	}
	if (rd_kafka_flush(producer, 30000))
		fail("flush", "messages were not delivered");
}

/* push_errors lets answers to an API be errors. */
static void
push_errors(rd_kafka_mock_cluster_t *cluster, int api, int code, int times)
{
	rd_kafka_resp_err_t codes[1000];

	if (times > 1000)
		fail("error", "at most 1000 times");
	for (int i = 0; i < times; i++)
		codes[i] = code;
	rd_kafka_mock_push_request_errors_array(cluster, api, times, codes);
}

/* obey does what a line says. */
static void
obey(rd_kafka_mock_cluster_t *cluster, rd_kafka_t *producer, char **argv, const char *line)
{
	int			api,
				code,
				times;
	long		n;

	if (sscanf(line, "error %d %d %d", &api, &code, &times) == 3)
		push_errors(cluster, api, code, times);
	else if (strncmp(line, "down", 4) == 0)
		rd_kafka_mock_broker_set_down(cluster, 1);
	else if (strncmp(line, "up", 2) == 0)
		rd_kafka_mock_broker_set_up(cluster, 1);
	else if (sscanf(line, "rtt %ld", &n) == 1)
		rd_kafka_mock_broker_set_rtt(cluster, 1, (int) n);
	else if (sscanf(line, "produce %ld", &n) == 1)
		produce(producer, argv[1], atoi(argv[2]), n);
	else
		fail("no such command", line);
	printf("ok\n");
}

int
main(int argc, char **argv)
{
	char		line[256];
	char		error[256];
	rd_kafka_mock_cluster_t *cluster;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *owner;
	rd_kafka_t *producer;

	if (argc != 4)
		fail("usage", "kafka_mock TOPIC PARTITIONS COUNT");
	rd_kafka_conf_set(conf, "log_level", "2", error, sizeof(error));
	owner = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (owner == NULL)
		fail("rd_kafka_new", error);
	cluster = rd_kafka_mock_cluster_new(owner, 1);
	if (cluster == NULL)
		fail("rd_kafka_mock_cluster_new", "no cluster");
	rd_kafka_mock_topic_create(cluster, argv[1], atoi(argv[2]), 1);
	conf = rd_kafka_conf_new();
	rd_kafka_conf_set(conf, "log_level", "2", error, sizeof(error));
	rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster), error, sizeof(error));
	producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (producer == NULL)
		fail("rd_kafka_new", error);
	produce(producer, argv[1], atoi(argv[2]), atol(argv[3]));
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
	while (fgets(line, sizeof(line), stdin) != NULL)
		obey(cluster, producer, argv, line);
	rd_kafka_destroy(producer);
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(owner);
	return 0;
}
