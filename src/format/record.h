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
 * In what follows extra may be NULL: the fields that no column takes are not wanted.
 *
 * Records whose columns take plain fields only are read by PostgreSQL's JSON parser in one pass, without building a jsonb.
 */
#ifndef ETL_RECORD_H
#define ETL_RECORD_H

#include "format/input.h"
#include "utils/jsonb.h"

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

/* Whether a text is a jsonpath that a column option may have; raises jsonpath's own error (42601) for its syntax. */
extern bool etl_record_is_path(const char *path);

/* A jsonpath value (Datum) of a text; raises jsonpath's own error. */
extern Datum etl_record_path(const char *path);

/* The first item that a jsonpath finds in a record, or NULL; what it cannot apply finds nothing. */
extern Jsonb *etl_record_first(Jsonb *record, Datum path);

/* Parses JSON; NULL: bad says why (22P02). *ends_early: it ended where more was expected. */
extern Jsonb *etl_record_parse(const char *json, int length, EtlBadRow *bad, bool *ends_early);

#endif /* ETL_RECORD_H */
