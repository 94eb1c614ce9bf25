/*
 * problem.h
 *		What goes wrong in librdkafka, kept in memory of malloc until PostgreSQL's thread raises it as an error.
 */
#ifndef ETL_KAFKA_PROBLEM_H
#define ETL_KAFKA_PROBLEM_H

#include <librdkafka/rdkafka.h>

#include "kafka/table.h"

#define ETL_KAFKA_PROBLEM_TEXT 512

typedef struct EtlKafkaProblem
{
	rd_kafka_resp_err_t code; /* RD_KAFKA_RESP_ERR_NO_ERROR: none */
	char text[ETL_KAFKA_PROBLEM_TEXT];
} EtlKafkaProblem;

/* Keeps a problem unless a worse one is there. */
extern void etl_kafka_problem_keep(EtlKafkaProblem *problem, rd_kafka_resp_err_t code, const char *text);

/* Whether waiting will not help: a wrong password, a topic that is not there. */
extern bool etl_kafka_problem_is_final(const EtlKafkaProblem *problem);

/* Whether an error belongs to consumer groups, which a feed has no use for. */
extern bool etl_kafka_problem_is_of_groups(rd_kafka_resp_err_t code);

/* Raises it. what: what could not be done, in words that follow "could not". Errors: 08006, 28000, 42501, 53200, 54000, HV... */
extern void etl_kafka_problem_raise(const EtlKafkaProblem *problem, const EtlKafkaTable *table, const char *what)
	pg_attribute_noreturn();

#endif /* ETL_KAFKA_PROBLEM_H */
