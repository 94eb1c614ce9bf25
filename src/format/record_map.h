/*
 * record_map.h
 *		What record.c and record_flat.c share.
 */
#ifndef ETL_RECORD_MAP_H
#define ETL_RECORD_MAP_H

#include "common/jsonapi.h"
#include "format/record.h"

/* Where a column's values come from: a field, a jsonpath, or the whole record. */
typedef struct EtlRecordColumn
{
	int index;		   /* in source->column */
	const char *field; /* NULL: path, or the whole record */
	int field_length;
	Datum path;
	bool is_whole;
	bool is_json; /* json or jsonb */
	bool is_jsonb;
	bool is_array;
} EtlRecordColumn;

/* A value while a record is parsed: a piece of its text, or a scalar without its quotes and escapes. */
typedef struct EtlRecordValue
{
	char *scalar; /* NULL: raw counts */
	const char *raw;
	int raw_length;
	bool is_null;
	bool is_there;
} EtlRecordValue;

struct EtlRecordMap
{
	EtlInput *input;
	bool is_flat;		   /* all columns take plain fields */
	bool has_whole;		   /* a column takes the whole record */
	EtlRecordValue *value; /* one for each column */
	int guess;			   /* column of the next field, if records have their fields in the columns' order */
	int n;
	EtlRecordColumn column[FLEXIBLE_ARRAY_MEMBER];
};

extern bool etl_record_flat(EtlRecordMap *map, const char *json, int length, TupleTableSlot *slot, Jsonb **extra,
							EtlBadRow *bad);

/* Parses with callbacks (NULL: only to see whether it is JSON). False: bad says why. */
extern bool etl_record_check(const char *json, int length, JsonSemAction *actions, JsonLexContext **lexer,
							 EtlBadRow *bad, bool *ends_early);
extern bool etl_record_takes(const EtlRecordMap *map, const char *name, int length);
extern bool etl_record_refuse_shape(EtlBadRow *bad);
extern char *etl_record_item_text(const EtlRecordColumn *column, Jsonb *item);
extern Jsonb *etl_record_nothing(void);

#endif /* ETL_RECORD_MAP_H */
