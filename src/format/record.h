/*
 * record.h
 *		A JSON record becomes a row: each column takes a field, or what its jsonpath finds.
 *
 * The column option json says where a value is: '$.name' (the default, with the column's own name), '$' the whole record,
 * or any jsonpath, of which the first item is taken. A string is given to the type's input function without its quotes, a
 * number, true, false, an object or an array as its JSON text; json and jsonb columns take the JSON value as it is; an array
 * column takes a JSON array. null and what is not there are NULL. Fields of the record that no column takes are kept in
 * feed->extra, unless a column takes the whole record.
 *
 * Records whose columns take plain fields only are read by PostgreSQL's JSON parser in one pass, without building a jsonb.
 */
#ifndef ETL_RECORD_H
#define ETL_RECORD_H

#include "format/input.h"

typedef struct EtlRecordMap EtlRecordMap;

/*
 * For the columns of source that are not in own (NULL: all), which the feed fills by itself. In a transaction, in the
 * current memory context. Errors: HV024 for a jsonpath that is none.
 */
extern EtlRecordMap *etl_record_map_make(const EtlSource *source, EtlInput *input, const char *const *own);

/* Fills the slot from the text of one record, in the database's encoding. False: bad says why. */
extern bool etl_record_text(EtlRecordMap *map, const char *json, int length, TupleTableSlot *slot, Jsonb **extra,
							EtlBadRow *bad);

/* The same for a record that is a jsonb already. */
extern bool etl_record_jsonb(EtlRecordMap *map, Jsonb *record, TupleTableSlot *slot, Jsonb **extra, EtlBadRow *bad);

#endif /* ETL_RECORD_H */
