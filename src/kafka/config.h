/*
 * config.h
 *		The configuration of librdkafka for a table.
 */
#ifndef ETL_KAFKA_CONFIG_H
#define ETL_KAFKA_CONFIG_H

#include <librdkafka/rdkafka.h>

#include "kafka/guard.h"
#include "kafka/table.h"

/* Makes it; the caller owns it. Errors: 42704, HV00J without a user where one is needed, HV024, 53200. */
extern rd_kafka_conf_t *etl_kafka_config_make(const EtlKafkaTable *table, EtlKafkaGuard *guard);

#endif /* ETL_KAFKA_CONFIG_H */
