/*
 * input.h
 *		Texts that come from outside become values of a relation's columns, and those that cannot become one say why instead
 *		of ending everything.
 *
 * The type's input function decides. Its data errors (class 22, and 23 for domains) are caught: those of PostgreSQL's own
 * plain types raise an error without holding anything but memory, so that no subtransaction is needed; all other types
 * (domains, types of extensions) are converted in one.
 */
#ifndef ETL_INPUT_H
#define ETL_INPUT_H

#include "feed/feed.h"

typedef struct EtlInput EtlInput;

/* For the columns of source, in the current memory context; in a transaction. */
extern EtlInput *etl_input_make(const EtlSource *source);

/*
 * Puts the value of column i of source (its index there) into the slot. text ends in \0, is in the database's encoding and
 * may be changed; NULL: NULL. False: bad has sqlstate, reason, column and value, in the current memory context.
 */
extern bool etl_input_value(EtlInput *input, int i, char *text, TupleTableSlot *slot, EtlBadRow *bad);

/* Puts a value that is there already. */
extern void etl_input_datum(EtlInput *input, int i, Datum value, TupleTableSlot *slot);

/* The index in source->column of a name, or -1. */
extern int etl_input_find(const EtlSource *source, const char *name);

/*
 * Text from outside (length bytes, not necessarily ended) to the database's encoding, ended by \0, in the current memory
 * context. encoding: of the text, as pg_char_to_encoding says. NULL: it is not valid in that encoding or contains \0; bad
 * has sqlstate (22021) and reason.
 */
extern char *etl_input_text(const char *bytes, int length, int encoding, EtlBadRow *bad);

/* JSON that is known to be well-formed as a jsonb; NULL: bad has sqlstate and reason. */
extern Jsonb *etl_input_jsonb(const char *json, int length, EtlBadRow *bad);

/*
 * In PG_CATCH: takes the error over into sqlstate and reason of bad if it is about data (classes 22, 23, 54, and 0A000), or
 * raises it again. context: the one that was current before. Only where what raised it holds nothing but memory.
 */
extern void etl_input_keep_error(EtlBadRow *bad, MemoryContext context);

#endif /* ETL_INPUT_H */
