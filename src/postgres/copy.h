/*
 * copy.h
 *		From a message of COPY (FORMAT binary) to values of the foreign table's column types.
 *
 * A column comes as its own binary form when that is the same type on both servers and its form is one that no version
 * changed; otherwise as the text that the source's output function makes, which the type's input function reads.
 */
#ifndef ETL_PG_COPY_H
#define ETL_PG_COPY_H

#include "executor/tuptable.h"
#include "source/relation.h"

typedef enum EtlPgForm
{
	ETL_PG_TEXT,	   /* text, through the input function */
	ETL_PG_BINARY,	   /* through the receive function */
	ETL_PG_CHARACTERS, /* text, taken as it is */
	ETL_PG_BOOL,
	ETL_PG_INT2,
	ETL_PG_INT4,
	ETL_PG_INT8,
	ETL_PG_TIMESTAMP /* with or without time zone */
} EtlPgForm;

typedef struct EtlPgColumn
{
	const EtlColumn *column;
	int index; /* in the slot */
	EtlPgForm form;
	bool converted;		/* the source has to turn it into text */
	const char *select; /* format of its expression in the select list, over the column */
	char *as_own_type;
	FmgrInfo input;
	Oid input_param;
	FmgrInfo receive; /* fn_oid invalid: the type has none */
	Oid receive_param;
} EtlPgColumn;

typedef struct EtlPgCopy
{
	int n;
	EtlPgColumn *column;
	const char *source; /* its name, for messages */
	bool same_encoding; /* this session talks to its client in the encoding of the database */
	bool verify_text;	/* the source may hold bytes that are no characters here */
	bool begun;			/* the header was seen */
	bool ended;			/* the end was seen */
	char *next;			/* what is left of the message */
	char *end;
} EtlPgCopy;

/* Prepares for the columns of a source; in a transaction. */
extern EtlPgCopy *etl_pg_copy_make(const EtlSource *source);

/* Decides how a column comes, from its type at the source. Touches no catalog. */
extern void etl_pg_copy_choose(EtlPgCopy *copy, int i, Oid remote_type, int32 remote_typmod);

/* Begins with a new COPY. */
extern void etl_pg_copy_begin(EtlPgCopy *copy);

/* Takes a message, which stays the caller's and must live until all of its rows are read. It is written to. */
extern void etl_pg_copy_feed(EtlPgCopy *copy, char *message, int length);

/*
 * Reads the next row of the message into the slot's values; false: there is none left in it. What has to be allocated
 * is in the current memory context; the values may point into the message. In a transaction.
 */
extern bool etl_pg_copy_row(EtlPgCopy *copy, TupleTableSlot *slot);

#endif /* ETL_PG_COPY_H */
