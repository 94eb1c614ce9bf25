/*
 * held.h
 *		A value that is kept from one row to the next: the highest cursor, the key of the last row.
 */
#ifndef ETL_HELD_H
#define ETL_HELD_H

typedef struct EtlHeld
{
	bool byval;
	int16 typlen;
	Oid output;
	bool isnull;
	Datum value;
	char *buffer; /* for types passed by reference */
	Size size;
} EtlHeld;

/* Prepares for values of a type; holds NULL at first. */
extern void etl_held_prepare(EtlHeld *held, Oid type);

/* Keeps a copy of a value; its buffer lives in context, grows to the longest value and is used again. */
extern void etl_held_keep(EtlHeld *held, Datum value, bool isnull, MemoryContext context);

/* The value as text. */
extern char *etl_held_print(const EtlHeld *held);

#endif /* ETL_HELD_H */
