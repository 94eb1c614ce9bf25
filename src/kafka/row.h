/*
 * row.h
 *		A message becomes a row.
 */
#ifndef ETL_KAFKA_ROW_H
#define ETL_KAFKA_ROW_H

#include <librdkafka/rdkafka.h>

#include "format/record.h"
#include "kafka/table.h"

typedef struct EtlKafkaRows EtlKafkaRows;

/* For the columns of source, in the current memory context; task may be NULL. In a transaction. */
extern EtlKafkaRows *etl_kafka_row_prepare(const EtlKafkaTable *table, const EtlSource *source, const EtlTask *task);

/*
 * Fills the slot, or bad. A message without a value is a deletion: its key fills the key's columns. Fields that no column
 * takes go to extra.
 */
extern EtlFeedStep etl_kafka_row_convert(EtlKafkaRows *rows, const rd_kafka_message_t *message, TupleTableSlot *slot,
										 Jsonb **extra, EtlBadRow *bad);

#endif /* ETL_KAFKA_ROW_H */
