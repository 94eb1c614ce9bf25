/*
 * threshold.h
 *		The threshold of a check: a number with its unit, as '0', '1000', '5%', '0.5 %', '2 h', '90 min', '1 day'.
 *		No access to tables.
 */
#ifndef ETL_THRESHOLD_H
#define ETL_THRESHOLD_H

typedef enum EtlThresholdKind
{
	ETL_THRESHOLD_COUNT = 1,
	ETL_THRESHOLD_PERCENT = 2,
	ETL_THRESHOLD_SECONDS = 4,
	ETL_THRESHOLD_SCORE = 8 /* a number that is not whole; of types that take scores a whole number is one, too */
} EtlThresholdKind;

typedef struct EtlThreshold
{
	bool given;
	EtlThresholdKind kind;
	double value;	  /* rows, percent, seconds or a score; never negative */
	const char *text; /* as its author wrote it */
} EtlThreshold;

/*
 * Reads a threshold; NULL text is one that is not given. option is its name (warn, fail), check_type decides which kinds
 * fit. Errors: 22023.
 */
extern EtlThreshold etl_threshold_parse(const char *text, const char *option, const char *check_type);

#endif /* ETL_THRESHOLD_H */
