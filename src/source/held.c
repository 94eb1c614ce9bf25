/*
 * held.c
 *		A value that is kept from one row to the next. See held.h.
 */
#include "postgres.h"

#include "fmgr.h"
#include "source/held.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

/* etl_held_prepare looks the type up. */
void
etl_held_prepare(EtlHeld *held, Oid type)
{
	bool varlena;

	memset(held, 0, sizeof(*held));
	held->isnull = true;
	get_typlenbyval(type, &held->typlen, &held->byval);
	getTypeOutputInfo(type, &held->output, &varlena);
}

/* etl_held_keep copies. */
void
etl_held_keep(EtlHeld *held, Datum value, bool isnull, MemoryContext context)
{
	Size size;

	held->isnull = isnull;
	if (isnull || held->byval)
	{
		held->value = value;
		return;
	}
	if (held->typlen == -1)
		value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
	size = datumGetSize(value, false, held->typlen);
	if (size > held->size)
	{
		if (held->buffer)
			pfree(held->buffer);
		held->size = Max(size * 2, 64);
		held->buffer = MemoryContextAlloc(context, held->size);
	}
	memcpy(held->buffer, DatumGetPointer(value), size);
	held->value = PointerGetDatum(held->buffer);
}

/* etl_held_print calls the output function. */
char *
etl_held_print(const EtlHeld *held)
{
	return OidOutputFunctionCall(held->output, held->value);
}
