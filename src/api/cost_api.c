/*
 * cost_api.c
 *		The SQL functions that define prices, which are the same for everybody, and budgets, which have an owner each.
 */
#include "postgres.h"

#include "access/access.h"
#include "api/args.h"
#include "api/define.h"
#include "catalog/budget.h"
#include "catalog/pipeline.h"
#include "catalog/price.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "worker/wake.h"

PG_FUNCTION_INFO_V1(etl_set_price);
PG_FUNCTION_INFO_V1(etl_drop_price);
PG_FUNCTION_INFO_V1(etl_set_budget);
PG_FUNCTION_INFO_V1(etl_drop_budget);

#define DEFAULT_CURRENCY "USD"
#define MAX_NAME 128

static const char *const resources[] = {"cpu_hour",			 "wall_hour",
										"gb_read",			 "gb_wal",
										"gb_temp",			 "gb_buffers_read",
										"million_rows_read", "million_rows_written",
										"attempt",			 NULL};

/* check_owner makes sure that the caller may change what concerns everybody. Errors: 42501. */
static void
check_owner(void)
{
	Oid owner = etl_catalog_owner();

	if (!has_privs_of_role(GetUserId(), owner) && !etl_access_may_all(GetUserId(), ETL_LEVEL_ADMIN))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to change prices"),
						errdetail("They concern the pipelines of everybody."),
						errhint("Ask a superuser, or a member of role \"%s\", which owns the extension.",
								GetUserNameFromId(owner, false))));
}

/* number returns a numeric argument. Errors: 22004 when it is NULL; 22023 unless it is a number from least on, or above it. */
static Numeric
number(FunctionCallInfo fcinfo, const char *name, bool may_be_zero)
{
	Datum value;
	Datum zero = DirectFunctionCall1(int4_numeric, Int32GetDatum(0));
	Numeric result;

	if (!etl_args_find(fcinfo, name, &value))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be NULL", name),
						errdetail("It has no default."), errhint("Pass a number, as in %s => 12.5.", name)));
	result = DatumGetNumeric(value);
	if (numeric_is_nan(result) || numeric_is_inf(result) ||
		DatumGetBool(DirectFunctionCall2(may_be_zero ? numeric_lt : numeric_le, value, zero)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s is out of range", name),
						errdetail("It is %s.", DatumGetCString(DirectFunctionCall1(numeric_out, value))),
						errhint("It must be a number %s 0.", may_be_zero ? "not below" : "above")));
	return result;
}

/* day_argument returns a date; NULL: today in UTC. Errors: 22023 for infinity. */
static DateADT
day_argument(FunctionCallInfo fcinfo, const char *name)
{
	Datum value;
	DateADT day;

	if (!etl_args_find(fcinfo, name, &value))
		return (DateADT) (GetCurrentTimestamp() / USECS_PER_DAY);
	day = DatumGetDateADT(value);
	if (DATE_NOT_FINITE(day))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s must be a day", name),
						errdetail("It is infinite."), errhint("Pass a date, as in %s => '2026-01-01'.", name)));
	return day;
}

/* currency_argument returns the currency of a new price: that of the others, if there are any. Errors: 22023. */
static char *
currency_argument(FunctionCallInfo fcinfo)
{
	char *currency = etl_args_text(fcinfo, "currency");
	char *others = etl_price_currency();

	if (currency == NULL)
		return others ? others : DEFAULT_CURRENCY;
	if (strlen(currency) != 3 || strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid currency \"%s\"", currency),
				 errdetail("A currency has three capital letters."), errhint("Use a code of ISO 4217, such as EUR.")));
	if (others != NULL && strcmp(currency, others) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("all prices must be in one currency"),
						errdetail("There are prices in %s, and this one would be in %s.", others, currency),
						errhint("Convert it, or drop the other prices first with etl.drop_price.")));
	return currency;
}

/* etl.set_price(resource, price, currency, valid_from) RETURNS void */
Datum
etl_set_price(PG_FUNCTION_ARGS)
{
	char *resource = etl_args_required(fcinfo, "resource");
	Numeric price;

	check_owner();
	etl_define_choice("resource", resource, resources);
	price = number(fcinfo, "price", true);
	etl_price_set(resource, day_argument(fcinfo, "valid_from"), price, currency_argument(fcinfo));
	etl_wake_at_commit();
	PG_RETURN_VOID();
}

/* etl.drop_price(resource, valid_from) RETURNS void */
Datum
etl_drop_price(PG_FUNCTION_ARGS)
{
	char *resource = etl_args_required(fcinfo, "resource");
	DateADT day;

	check_owner();
	etl_define_choice("resource", resource, resources);
	day = day_argument(fcinfo, "valid_from");
	if (!etl_price_delete(resource, day))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("resource \"%s\" has no price of that day", resource),
				 errdetail("None begins on %s.", DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(day)))),
				 errhint("SELECT * FROM etl.price lists the prices.")));
	PG_RETURN_VOID();
}

/* percentage reads '80%' or '80'. Errors: 22023. */
static Numeric
percentage(const char *text)
{
	char *copy = pstrdup(text);
	int length = strlen(copy);
	char *end;
	double value;

	while (length > 0 && (copy[length - 1] == '%' || copy[length - 1] == ' '))
		copy[--length] = '\0';
	value = length > 0 ? strtod(copy, &end) : 0;
	if (length == 0 || *end != '\0' || !(value > 0 && value <= 100))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid warn \"%s\"", text),
						errdetail("It is the percentage of the amount from which on the budget warns."),
						errhint("Write it like '80%%': above 0 and not above 100.")));
	return DatumGetNumeric(DirectFunctionCall1(float8_numeric, Float8GetDatum(value)));
}

/* check_mine makes sure that a budget belongs to a role of the caller's. Errors: 42501. */
static void
check_mine(const char *name, Oid owner)
{
	const char *owner_name = GetUserNameFromId(owner, true);

	if (!has_privs_of_role(GetUserId(), owner))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for budget \"%s\"", name),
						errdetail("It belongs to role \"%s\".", owner_name ? owner_name : "(dropped)"),
						errhint("Ask for membership in that role, or choose another name.")));
}

/* find_pipeline returns the number of a pipeline of the caller's; 0: none is named. Errors: 42704, 42501. */
static int64
find_pipeline(FunctionCallInfo fcinfo)
{
	char *name = etl_args_text(fcinfo, "pipeline");

	return name ? etl_pipeline_get(name)->pipeline_id : 0;
}

/* tags_argument returns the tags that tasks must have; NULL: none. Errors: 22023. */
static Jsonb *
tags_argument(FunctionCallInfo fcinfo)
{
	Datum value;
	Jsonb *tags;

	if (!etl_args_find(fcinfo, "tags", &value))
		return NULL;
	tags = DatumGetJsonbP(value);
	if (!JB_ROOT_IS_OBJECT(tags))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("tags must be a JSON object"),
						errdetail("It is %s.", JsonbToCString(NULL, &tags->root, VARSIZE(tags))),
						errhint("Write it like '{\"team\": \"bi\"}'.")));
	return tags;
}

/* etl.set_budget(name, amount, period, pipeline, tags, warn) RETURNS void */
Datum
etl_set_budget(PG_FUNCTION_ARGS)
{
	static const char *const periods[] = {"day", "month", NULL};
	EtlBudget budget = {.name = etl_args_required(fcinfo, "name"), .owner = GetUserId()};
	char *warn = etl_args_text(fcinfo, "warn");
	Oid owner;

	if (strlen(budget.name) > MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG), errmsg("the name of the budget is too long"),
				 errdetail("It has %d bytes.", (int) strlen(budget.name)), errhint("Use at most %d.", MAX_NAME)));
	budget.amount = number(fcinfo, "amount", false);
	budget.period = etl_args_text(fcinfo, "period");
	if (budget.period == NULL)
		budget.period = "month";
	etl_define_choice("period", budget.period, periods);
	budget.warn_pct = percentage(warn ? warn : "80%");
	budget.tags = tags_argument(fcinfo);
	budget.pipeline_id = find_pipeline(fcinfo);
	if (etl_budget_find(budget.name, &owner))
		check_mine(budget.name, owner);
	etl_budget_set(&budget);
	etl_wake_at_commit();
	PG_RETURN_VOID();
}

/* etl.drop_budget(name) RETURNS void */
Datum
etl_drop_budget(PG_FUNCTION_ARGS)
{
	char *name = etl_args_required(fcinfo, "name");
	Oid owner;

	if (!etl_budget_find(name, &owner))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("budget \"%s\" does not exist", name),
						errdetail("Names are compared letter by letter, upper and lower case differ."),
						errhint("SELECT name FROM etl.budget lists the budgets.")));
	check_mine(name, owner);
	etl_budget_delete(name);
	PG_RETURN_VOID();
}
