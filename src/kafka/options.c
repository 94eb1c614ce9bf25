/*
 * options.c
 *		The options of foreign data wrappers etl_kafka.
 */
#include "postgres.h"

#include "fmgr.h"
#include "net/option.h"

PG_FUNCTION_INFO_V1(etl_kafka_validator);

static const EtlOption kafka_option[] = {{NULL}};

/* etl.kafka_validator(text[], oid) */
Datum
etl_kafka_validator(PG_FUNCTION_ARGS)
{
	(void) etl_option_check(kafka_option, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
