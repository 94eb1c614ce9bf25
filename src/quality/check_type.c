/*
 * check_type.c
 *		The types of checks. See check_type.h.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "quality/check_type.h"
#include "quality/threshold.h"

#define SHARE (ETL_THRESHOLD_COUNT | ETL_THRESHOLD_PERCENT)
#define SHARE_EXAMPLES "a number of rows, such as '0', or a percentage of rows, such as '0.1%'"

static const EtlCheckType check_type[] = {
	{.name = "row_count",
	 .kind = ETL_CHECK_ROW_COUNT,
	 .thresholds = ETL_THRESHOLD_COUNT,
	 .default_fail = "1",
	 .examples = "a number of rows: the least that there should be, such as '1' or '1000'"},
	{.name = "row_count_variance",
	 .kind = ETL_CHECK_VARIANCE,
	 .takes = ETL_OPTION_HISTORY | ETL_OPTION_CHANGE,
	 .thresholds = ETL_THRESHOLD_PERCENT,
	 .history = 7,
	 .min_history = 1,
	 .examples = "a percentage of change, such as '5%' or '12.5%'"},
	{.name = "null_pct",
	 .kind = ETL_CHECK_NULL_PCT,
	 .columns = ETL_COLUMNS_SOME,
	 .thresholds = ETL_THRESHOLD_PERCENT,
	 .is_share = true,
	 .is_by_row = true,
	 .default_fail = "0%",
	 .examples = "a percentage of rows, such as '0%' or '0.5%'"},
	{.name = "freshness",
	 .kind = ETL_CHECK_FRESHNESS,
	 .columns = ETL_COLUMNS_ONE,
	 .thresholds = ETL_THRESHOLD_SECONDS,
	 .examples = "an age, such as '90 min', '2 h' or '1 day'"},
	{.name = "duplicates",
	 .kind = ETL_CHECK_DUPLICATES,
	 .columns = ETL_COLUMNS_SOME,
	 .thresholds = SHARE,
	 .is_share = true,
	 .default_fail = "0",
	 .examples = "a number of surplus rows, such as '0', or a percentage of rows, such as '0.1%'"},
	{.name = "unique",
	 .kind = ETL_CHECK_UNIQUE,
	 .columns = ETL_COLUMNS_SOME,
	 .thresholds = SHARE,
	 .is_share = true,
	 .default_fail = "0",
	 .examples = SHARE_EXAMPLES},
	{.name = "accepted_values",
	 .kind = ETL_CHECK_ACCEPTED_VALUES,
	 .columns = ETL_COLUMNS_SOME,
	 .takes = ETL_OPTION_VALUES,
	 .needs = ETL_OPTION_VALUES,
	 .thresholds = SHARE,
	 .is_share = true,
	 .is_by_row = true,
	 .default_fail = "0",
	 .examples = SHARE_EXAMPLES},
	{.name = "range",
	 .kind = ETL_CHECK_RANGE,
	 .columns = ETL_COLUMNS_SOME,
	 .takes = ETL_OPTION_LIMITS,
	 .needs = ETL_OPTION_LIMITS,
	 .thresholds = SHARE,
	 .is_share = true,
	 .is_by_row = true,
	 .default_fail = "0",
	 .examples = SHARE_EXAMPLES},
	{.name = "regex",
	 .kind = ETL_CHECK_REGEX,
	 .columns = ETL_COLUMNS_SOME,
	 .takes = ETL_OPTION_PATTERN,
	 .needs = ETL_OPTION_PATTERN,
	 .thresholds = SHARE,
	 .is_share = true,
	 .is_by_row = true,
	 .default_fail = "0",
	 .examples = SHARE_EXAMPLES},
	{.name = "relationship",
	 .kind = ETL_CHECK_RELATIONSHIP,
	 .columns = ETL_COLUMNS_SOME,
	 .takes = ETL_OPTION_REFERENCE,
	 .needs = ETL_OPTION_REFERENCE,
	 .thresholds = SHARE,
	 .is_share = true,
	 .is_by_row = true,
	 .default_fail = "0",
	 .examples = SHARE_EXAMPLES},
	{.name = "schema",
	 .kind = ETL_CHECK_SCHEMA,
	 .takes = ETL_OPTION_EXPECTED,
	 .thresholds = ETL_THRESHOLD_COUNT,
	 .default_fail = "0",
	 .history = 1,
	 .min_history = 1,
	 .examples = "a number of columns that differ, such as '0'"},
	{.name = "reconciliation",
	 .kind = ETL_CHECK_RECONCILIATION,
	 .takes = ETL_OPTION_SOURCE | ETL_OPTION_EXPRESSION,
	 .needs = ETL_OPTION_SOURCE,
	 .thresholds = SHARE | ETL_THRESHOLD_SCORE,
	 .default_fail = "0",
	 .examples = "a difference, such as '0' or '100', or a percentage of what the source has, such as '0.1%'"},
	{.name = "distribution",
	 .kind = ETL_CHECK_DISTRIBUTION,
	 .columns = ETL_COLUMNS_ONE,
	 .takes = ETL_OPTION_HISTORY,
	 .thresholds = ETL_THRESHOLD_SCORE | ETL_THRESHOLD_COUNT,
	 .default_fail = "0.25",
	 .history = 7,
	 .min_history = 1,
	 .examples = "a population stability index: '0.1' is a small shift, '0.25' a large one"},
	{.name = "anomaly",
	 .kind = ETL_CHECK_ANOMALY,
	 .takes = ETL_OPTION_HISTORY | ETL_OPTION_EXPRESSION,
	 .thresholds = ETL_THRESHOLD_SCORE | ETL_THRESHOLD_COUNT,
	 .default_warn = "3.5",
	 .history = 30,
	 .min_history = 7,
	 .examples = "a score: how many times the usual deviation a value may be away, such as '3.5' or '6'"},
	{.name = "expression",
	 .kind = ETL_CHECK_EXPRESSION,
	 .takes = ETL_OPTION_EXPRESSION,
	 .needs = ETL_OPTION_EXPRESSION,
	 .thresholds = SHARE,
	 .is_share = true,
	 .is_by_row = true,
	 .default_fail = "0",
	 .examples = SHARE_EXAMPLES},
	{.name = "query",
	 .kind = ETL_CHECK_QUERY,
	 .takes = ETL_OPTION_QUERY,
	 .needs = ETL_OPTION_QUERY,
	 .thresholds = ETL_THRESHOLD_COUNT,
	 .default_fail = "0",
	 .examples = "a number of rows, such as '0'"},
};

/* etl_check_type_find looks a name up. */
const EtlCheckType *
etl_check_type_find(const char *name)
{
	for (int i = 0; name && i < lengthof(check_type); i++)
		if (strcmp(check_type[i].name, name) == 0)
			return &check_type[i];
	return NULL;
}

/* etl_check_type_get looks a name up that is there. */
const EtlCheckType *
etl_check_type_get(const char *name)
{
	const EtlCheckType *type = etl_check_type_find(name);

	if (type == NULL)
		elog(ERROR, "unknown check type \"%s\"", name ? name : "(none)");
	return type;
}

/* etl_check_type_names lists them. */
char *
etl_check_type_names(void)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(check_type); i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", check_type[i].name);
	return names.data;
}
