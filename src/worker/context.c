/*
 * context.c
 *		What task SQL can ask about the run that it is part of: etl.param(), etl.run_id() and the like.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "worker/context.h"

static const EtlRunInfo *current;

/* etl_context_set says of which run the SQL that follows is part; NULL: of none. */
void
etl_context_set(const EtlRunInfo *info)
{
	current = info;
}

/* etl_context_exists says whether there is a run. */
bool
etl_context_exists(void)
{
	return current != NULL;
}

PG_FUNCTION_INFO_V1(etl_param);
PG_FUNCTION_INFO_V1(etl_run_id);
PG_FUNCTION_INFO_V1(etl_logical_time);
PG_FUNCTION_INFO_V1(etl_interval_start);
PG_FUNCTION_INFO_V1(etl_interval_end);

/* etl.param(name text) RETURNS text */
Datum
etl_param(PG_FUNCTION_ARGS)
{
	JsonbValue key = {.type = jbvString};
	JsonbValue *value;

	if (current == NULL || current->params == NULL || !JB_ROOT_IS_OBJECT(current->params))
		PG_RETURN_NULL();
	key.val.string.val = VARDATA_ANY(PG_GETARG_TEXT_PP(0));
	key.val.string.len = VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(0));
	value = findJsonbValueFromContainer(&current->params->root, JB_FOBJECT, &key);
	if (value == NULL || value->type == jbvNull)
		PG_RETURN_NULL();
	if (value->type == jbvString)
		PG_RETURN_TEXT_P(cstring_to_text_with_len(value->val.string.val, value->val.string.len));
	PG_RETURN_TEXT_P(cstring_to_text(JsonbToCString(NULL, &JsonbValueToJsonb(value)->root, -1)));
}

/* etl.run_id() RETURNS bigint */
Datum
etl_run_id(PG_FUNCTION_ARGS)
{
	if (current == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT64(current->run_id);
}

/* etl.logical_time() RETURNS timestamptz */
Datum
etl_logical_time(PG_FUNCTION_ARGS)
{
	if (current == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(current->logical_time);
}

/* etl.interval_start() RETURNS timestamptz */
Datum
etl_interval_start(PG_FUNCTION_ARGS)
{
	if (current == NULL || TIMESTAMP_IS_NOBEGIN(current->interval_start))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(current->interval_start);
}

/* etl.interval_end() RETURNS timestamptz */
Datum
etl_interval_end(PG_FUNCTION_ARGS)
{
	if (current == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(current->interval_end);
}
