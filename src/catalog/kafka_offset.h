/*
 * kafka_offset.h
 *		etl.kafka_offset: how far each extract of a topic has come, partition by partition.
 *
 * A position moves in the transaction of the rows, and only from where the attempt has found or put it: an attempt that
 * was overtaken by another one cannot commit.
 */
#ifndef ETL_KAFKA_OFFSET_H
#define ETL_KAFKA_OFFSET_H

#include "worker/attempt.h"

/* next_offset that stands for the beginning of the partition, whatever it has then. */
#define ETL_KAFKA_BEGINNING (-2)

typedef struct EtlKafkaOffset
{
	int partition;
	int64 next_offset;
	int64 end_offset; /* of the partition when it was read last; -1: not known */
	int64 run_id;	  /* 0: set by hand */
} EtlKafkaOffset;

typedef struct EtlKafkaMove
{
	int partition;
	int64 from; /* next_offset as it must be; -1: there is no row yet */
	int64 next;
	int64 end;
} EtlKafkaMove;

/* The positions of a task in a topic in the order of the partitions, in the current memory context; returns how many. */
extern int etl_kafka_offset_list(int64 task_id, const char *topic, EtlKafkaOffset **offset);

/* Moves positions of the attempt's task. Errors: ZE004 when another has moved one. */
extern void etl_kafka_offset_move(const EtlAttempt *attempt, const char *topic, const EtlKafkaMove *move, int n);

/* Moves a position by hand. */
extern void etl_kafka_offset_set(int64 task_id, const char *topic, int partition, int64 next_offset);

/* Removes positions of a task. topic NULL: of all topics; partition -1: of all partitions. */
extern void etl_kafka_offset_forget(int64 task_id, const char *topic, int partition);

#endif /* ETL_KAFKA_OFFSET_H */
