/*
 * table.h
 *		A foreign table of etl_kafka: what its options, those of its server and of the user mapping say, and what its columns
 *		take. Knows nothing of librdkafka.
 */
#ifndef ETL_KAFKA_TABLE_H
#define ETL_KAFKA_TABLE_H

#include "feed/feed.h"

typedef enum EtlKafkaFormat
{
	ETL_KAFKA_JSON,
	ETL_KAFKA_TEXT,
	ETL_KAFKA_BYTEA
} EtlKafkaFormat;

/* Where to begin; also what to do when the position is no longer there. */
typedef enum EtlKafkaStart
{
	ETL_KAFKA_ERROR,
	ETL_KAFKA_EARLIEST,
	ETL_KAFKA_LATEST,
	ETL_KAFKA_MOMENT
} EtlKafkaStart;

/* Columns by name that are not fields of the value: places in EtlKafkaTable.column. */
typedef enum EtlKafkaColumn
{
	ETL_KAFKA_VALUE,
	ETL_KAFKA_KEY,
	ETL_KAFKA_HEADERS,
	ETL_KAFKA_TOPIC,
	ETL_KAFKA_PARTITION,
	ETL_KAFKA_OFFSET,
	ETL_KAFKA_TIMESTAMP,
	ETL_KAFKA_COLUMNS
} EtlKafkaColumn;

/* Strings are never control characters; sasl_password is secret. */
typedef struct EtlKafkaTable
{
	const char *server_name;
	const char *brokers;
	const char *security_protocol;
	const char *sasl_mechanism; /* NULL: no SASL */
	const char *client_id;
	const char *ca_pem;	 /* NULL: etl.tls_ca_file, or the system's */
	const char *ca_file; /* NULL: the system's */
	const char *sasl_username;
	const char *sasl_password;
	List *setting; /* of librdkafka: DefElem, by the names of our options */
	int timeout;   /* ms */

	const char *topic;
	EtlKafkaFormat format;
	EtlKafkaStart out_of_range;
	EtlKafkaStart start;
	int64 start_ms;			/* since 1970, with ETL_KAFKA_MOMENT */
	const char *start_text; /* as it was given, with ETL_KAFKA_MOMENT */
	int64 max_records;		/* 0: no limit */
	int max_wait;			/* ms; 0: no limit */
	int n_partitions;		/* 0: all */
	int *partition;

	int column[ETL_KAFKA_COLUMNS];			/* in source->column; -1: not wanted */
	const char *own[ETL_KAFKA_COLUMNS + 1]; /* columns of the table that are no fields; ends with NULL */
	bool has_value;							/* the table has a column for the whole value */
	bool has_fields;						/* the table has columns for fields of the value */
} EtlKafkaTable;

/* In the current memory context. Errors: 22023, HV024 for columns and options that do not fit together, 42704. */
extern EtlKafkaTable *etl_kafka_table_read(const EtlSource *source, Oid user);

/* What a value of the option start means; false: it is none. */
extern bool etl_kafka_table_parse_start(const char *text, EtlKafkaStart *start, int64 *ms);

/* A list like '0,2,5'; n = -1: it is none. */
extern int *etl_kafka_table_parse_partitions(const char *text, int *n);

/* Whether the server asks for a user. */
extern bool etl_kafka_table_has_sasl(const EtlKafkaTable *table);

#endif /* ETL_KAFKA_TABLE_H */
