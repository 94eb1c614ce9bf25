/*
 * check_type.h
 *		The types of checks: what each takes. Pure, no I/O.
 */
#ifndef ETL_CHECK_TYPE_H
#define ETL_CHECK_TYPE_H

#include "c.h"

typedef enum EtlCheckKind
{
	ETL_CHECK_ROW_COUNT,
	ETL_CHECK_VARIANCE,
	ETL_CHECK_NULL_PCT,
	ETL_CHECK_FRESHNESS,
	ETL_CHECK_DUPLICATES,
	ETL_CHECK_UNIQUE,
	ETL_CHECK_ACCEPTED_VALUES,
	ETL_CHECK_RANGE,
	ETL_CHECK_REGEX,
	ETL_CHECK_RELATIONSHIP,
	ETL_CHECK_SCHEMA,
	ETL_CHECK_RECONCILIATION,
	ETL_CHECK_DISTRIBUTION,
	ETL_CHECK_ANOMALY,
	ETL_CHECK_EXPRESSION,
	ETL_CHECK_QUERY
} EtlCheckKind;

typedef enum EtlColumnRule
{
	ETL_COLUMNS_NONE,
	ETL_COLUMNS_SOME,
	ETL_COLUMNS_ONE
} EtlColumnRule;

/* Options that only some types take, as bits. */
typedef enum EtlCheckOption
{
	ETL_OPTION_EXPRESSION = 1 << 0,
	ETL_OPTION_VALUES = 1 << 1,
	ETL_OPTION_LIMITS = 1 << 2, /* min_value, max_value: at least one of them */
	ETL_OPTION_PATTERN = 1 << 3,
	ETL_OPTION_REFERENCE = 1 << 4,
	ETL_OPTION_SOURCE = 1 << 5,
	ETL_OPTION_EXPECTED = 1 << 6,
	ETL_OPTION_HISTORY = 1 << 7,
	ETL_OPTION_CHANGE = 1 << 8,
	ETL_OPTION_QUERY = 1 << 9
} EtlCheckOption;

typedef struct EtlCheckType
{
	const char *name;
	EtlCheckKind kind;
	EtlColumnRule columns;
	int takes;				  /* options */
	int needs;				  /* those of them that it cannot do without */
	int thresholds;			  /* EtlThresholdKind that fit */
	bool is_share;			  /* it counts rows at fault: no percentage is above 100 */
	bool is_by_row;			  /* whether a row is at fault is seen by the row alone, or with a reference */
	const char *default_warn; /* when neither warn nor fail is given, and default_fail is none */
	const char *default_fail; /* both NULL: one of them is required */
	int history;			  /* how many earlier runs it is compared with */
	int min_history;
	const char *examples; /* what its thresholds look like, as words for a hint */
} EtlCheckType;

/* A type by its name, or NULL. */
extern const EtlCheckType *etl_check_type_find(const char *name);

/* The same for a name from the catalog. */
extern const EtlCheckType *etl_check_type_get(const char *name);

/* The names of all types for a hint. */
extern char *etl_check_type_names(void);

#endif /* ETL_CHECK_TYPE_H */
