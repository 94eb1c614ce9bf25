/*
 * server_api.c
 *		SQL functions about the installation as a whole. Only its owner may use them.
 */
#include "postgres.h"

#include "access/access.h"
#include "api/args.h"
#include "api/define.h"
#include "catalog/retention.h"
#include "catalog/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(etl_set_retention);

/* check_owner refuses everybody but the members of the role that owns the extension. Errors: 42501. */
static void
check_owner(void)
{
	Oid owner = etl_catalog_owner();

	if (!etl_access_may_all(GetUserId(), ETL_LEVEL_ADMIN))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to change what is kept"),
						errdetail("It concerns the pipelines of everybody."),
						errhint("Ask an admin of all pipelines, or a member of role \"%s\", which owns the extension.",
								GetUserNameFromId(owner, false))));
}

/* check_keep checks how long a history is to be kept. Errors: 22023. */
static void
check_keep(Interval *keep)
{
	Interval least = {.time = USECS_PER_HOUR};
	Interval most = {.month = 1000 * MONTHS_PER_YEAR};

	if (DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(keep), IntervalPGetDatum(&least))) < 0 ||
		DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(keep), IntervalPGetDatum(&most))) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("keep is out of range"),
				 errdetail("It is %s.", DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(keep)))),
				 errhint("It must be between 1 hour and 1000 years; NULL is the default of 90 days.")));
}

/* etl.set_retention(history, keep) RETURNS void */
Datum
etl_set_retention(PG_FUNCTION_ARGS)
{
	static const char *const histories[] = {
		"run", "check_result", "quarantine", "alert", "watermark_history", "contract_result", NULL};
	char *history = etl_args_required(fcinfo, "history");
	Interval *keep = NULL;
	Datum value;

	check_owner();
	etl_define_choice("history", history, histories);
	if (etl_args_find(fcinfo, "keep", &value))
	{
		keep = DatumGetIntervalP(value);
		check_keep(keep);
	}
	etl_retention_set(history, keep);
	PG_RETURN_VOID();
}
