/*
 * scan.h
 *		Finds records in the text of a JSON document without parsing it: by brackets, strings and the names on the way.
 */
#ifndef ETL_HTTP_SCAN_H
#define ETL_HTTP_SCAN_H

/* A path of names, which may end in [*]. */
typedef struct EtlHttpSteps
{
	int n;
	char **name;
	bool each;	 /* the elements of the array there; otherwise the value there is the one record */
	bool is_lax; /* nothing there means no records */
} EtlHttpSteps;

typedef enum EtlHttpScanResult
{
	ETL_HTTP_SCAN_FOUND,
	ETL_HTTP_SCAN_MISSING, /* there is nothing at the path */
	ETL_HTTP_SCAN_EARLY,   /* the document is not complete */
	ETL_HTTP_SCAN_BAD	   /* it is no JSON; position says where */
} EtlHttpScanResult;

typedef struct EtlHttpScan
{
	const char *text;
	size_t length;
	const EtlHttpSteps *steps;
	size_t position;
	int n;
	int room;
	const char **record;
	int *record_length;
	char *envelope; /* the document with an empty array instead of the records; NULL: it is the one record */
} EtlHttpScan;

/* NULL: the path is more than that. In the current memory context. */
extern EtlHttpSteps *etl_http_scan_steps(const char *path);

/* Fills in the rest of scan, in the current memory context. any_shape: a document that is no array is one record. */
extern EtlHttpScanResult etl_http_scan(EtlHttpScan *scan, bool any_shape);

#endif /* ETL_HTTP_SCAN_H */
