/*
 * position.h
 *		Where a read of a topic begins and ends in each partition, and how far it has come. Pure: no library, no catalog.
 */
#ifndef ETL_KAFKA_POSITION_H
#define ETL_KAFKA_POSITION_H

#include "catalog/kafka_offset.h"
#include "kafka/table.h"

typedef struct EtlKafkaPosition
{
	int partition;
	const EtlKafkaOffset *stored; /* NULL: none */
	int64 low;					  /* first offset that the partition still has */
	int64 high;					  /* its end when the read began: the offset behind the last stable message */
	int64 moment;				  /* first offset at or after the option start, if that is a moment */
	int64 next;					  /* everything below was given out */
	int64 saved;				  /* next_offset in etl.kafka_offset; -1: no row */
	int64 saved_end;			  /* end_offset there */
	int64 lost;					  /* messages that were deleted before they were read */
	bool reached;				  /* nothing more is to be fetched */
} EtlKafkaPosition;

/* What decides where a read begins. */
typedef struct EtlKafkaPlan
{
	const EtlKafkaTable *table;
	const char *pipeline; /* for hints; NULL: a plain SELECT */
	const char *task;
	bool keeps;	   /* the position is kept: an extract that is no backfill */
	bool is_first; /* the topic has no position at all: start counts */
	bool full_refresh;
	int64 run_id;
} EtlKafkaPlan;

/*
 * Fills in next for each position from what is stored and what the topic has. Errors: 55000 when messages were deleted
 * before they were read and the policy is error, or the topic is not the one that was read before.
 */
extern void etl_kafka_position_plan(const EtlKafkaPlan *plan, EtlKafkaPosition *position, int n);

/* Refuses a topic that has lost partitions that were read before. */
extern void etl_kafka_position_refuse_shrunk(const EtlKafkaPlan *plan, int partition, int n);

#endif /* ETL_KAFKA_POSITION_H */
