/*
 * consumer.h
 *		A consumer of librdkafka that PostgreSQL's thread can interrupt, and the messages that it holds.
 *
 * It lives in memory of malloc and is in a list: a process that ends by FATAL closes what it finds there, so that no thread
 * of librdkafka runs while the process takes itself apart. librdkafka makes its threads with all signals blocked; a consumer is
 * never made in the postmaster. No function of PostgreSQL is called in its threads.
 */
#ifndef ETL_KAFKA_CONSUMER_H
#define ETL_KAFKA_CONSUMER_H

#include <librdkafka/rdkafka.h>

#include "kafka/problem.h"

typedef struct EtlKafkaConsumer EtlKafkaConsumer;

/* Makes one; nothing is waited for. Errors: HV..., 53200. */
extern EtlKafkaConsumer *etl_kafka_consumer_open(const EtlKafkaTable *table);

/* Frees messages and consumer, and ends the threads; NULL is nothing. Raises nothing. */
extern void etl_kafka_consumer_close(EtlKafkaConsumer *consumer);

/*
 * What follows waits for the brokers, at most for the option timeout, and can be interrupted. Errors: those of
 * etl_kafka_problem_raise, and 42501 for an address that is not allowed.
 */

/* The numbers of the topic's partitions in ascending order, in the current memory context; returns how many. */
extern int etl_kafka_consumer_partitions(EtlKafkaConsumer *consumer, int **partition);

/* First offset that a partition has, and the one behind its last stable message. */
extern void etl_kafka_consumer_watermarks(EtlKafkaConsumer *consumer, int partition, int64 *low, int64 *high);

/* First offset of a message at or after a time (ms since 1970); -1: there is none. */
extern int64 etl_kafka_consumer_offset_at(EtlKafkaConsumer *consumer, int partition, int64 ms);

/* Begins to read the partitions of the list at its offsets. */
extern void etl_kafka_consumer_assign(EtlKafkaConsumer *consumer, const rd_kafka_topic_partition_list_t *list);

/* Takes up to n messages that are there, or come within a few ms; returns how many. The caller owns them. */
extern int etl_kafka_consumer_poll(EtlKafkaConsumer *consumer, rd_kafka_message_t **message, int n);

/*
 * Lets librdkafka look whether there is room for more. When its queue is full it sleeps for up to a second, whatever is taken
 * meanwhile, unless something is asked of a broker; 16 MB a second would be the most that a feed gets.
 */
extern void etl_kafka_consumer_wake(EtlKafkaConsumer *consumer);

/* Ends the reading of a partition. */
extern void etl_kafka_consumer_pause(EtlKafkaConsumer *consumer, int partition);

/* Notes an error that came in a message. */
extern void etl_kafka_consumer_note(EtlKafkaConsumer *consumer, const rd_kafka_message_t *message);

/* Whether an error is there that waiting will not help. */
extern bool etl_kafka_consumer_has_failed(EtlKafkaConsumer *consumer);

/* Raises the error that is there, or one that says that nothing has come for idle ms, if that is too long. */
extern void etl_kafka_consumer_check(EtlKafkaConsumer *consumer, int64 idle);

/* Gives a message to the consumer, which frees it at the latest when it is closed; the next of them, or NULL; how many. */
extern void etl_kafka_consumer_hold(EtlKafkaConsumer *consumer, rd_kafka_message_t *message);
extern const rd_kafka_message_t *etl_kafka_consumer_take(EtlKafkaConsumer *consumer);
extern int etl_kafka_consumer_held(const EtlKafkaConsumer *consumer);

/* Most messages and bytes (with what a message costs by itself) that may be held. */
#define ETL_KAFKA_MOST_HELD 50000
#define ETL_KAFKA_MOST_BYTES (24 * 1024 * 1024)
#define ETL_KAFKA_MESSAGE_BYTES 400

#endif /* ETL_KAFKA_CONSUMER_H */
