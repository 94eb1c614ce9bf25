/*
 * define.h
 *		What is known of an extract of a topic without asking a broker: its plan, what is wrong with it.
 */
#ifndef ETL_KAFKA_DEFINE_H
#define ETL_KAFKA_DEFINE_H

#include "feed/feed.h"
#include "kafka/position.h"

/* Fills in the plan of a read and the stored positions, in the current memory context; returns how many there are. */
extern int etl_kafka_define_plan(const EtlFeedRequest *request, const EtlKafkaTable *table, EtlKafkaPlan *plan,
								 EtlKafkaOffset **stored);

/* See feed.h: define, explain and problems. */
extern void etl_kafka_define_check(EtlTask *task, const EtlSource *source);
extern List *etl_kafka_define_explain(const EtlFeedRequest *request);
extern List *etl_kafka_define_problems(const EtlFeedRequest *request);

#endif /* ETL_KAFKA_DEFINE_H */
