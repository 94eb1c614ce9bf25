/*
 * options.c
 *		The options of foreign data wrappers etl_s3 and etl_file.
 */
#include "postgres.h"

#include "fmgr.h"
#include "net/option.h"

PG_FUNCTION_INFO_V1(etl_s3_validator);
PG_FUNCTION_INFO_V1(etl_file_validator);

static const EtlOption s3_option[] = {{NULL}};

static const EtlOption file_option[] = {{NULL}};

/* etl.s3_validator(text[], oid) */
Datum
etl_s3_validator(PG_FUNCTION_ARGS)
{
	(void) etl_option_check(s3_option, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}

/* etl.file_validator(text[], oid) */
Datum
etl_file_validator(PG_FUNCTION_ARGS)
{
	(void) etl_option_check(file_option, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
