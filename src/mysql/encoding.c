/*
 * encoding.c
 *		Text between the encoding of the database and that of the connection, utf8mb4. See connection.h.
 *
 * In a database that is not in UTF8 a conversion looks into the catalog. Statements are sent while no transaction is
 * open; what is more than ASCII then gets a short one of its own.
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "mysql/connection.h"
#include "utils/memutils.h"

/* is_ascii says whether a text is the same in all encodings. */
static bool
is_ascii(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (IS_HIGHBIT_SET(text[i]))
			return false;
	return true;
}

/* convert converts, in a transaction; the result is in the current context, or the text itself. */
static char *
convert(const char *text, size_t length, bool to_server)
{
	return to_server ? pg_any_to_server(text, length, PG_UTF8) : pg_server_to_any(text, length, PG_UTF8);
}

/* convert_alone converts in a transaction of its own. */
static char *
convert_alone(const char *text, size_t length, bool to_server)
{
	MemoryContext context = CurrentMemoryContext;
	char *converted;

	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	converted = convert(text, length, to_server);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return converted;
}

/* convert_any chooses. UTF8 on both sides is only checked. */
static char *
convert_any(const char *text, size_t length, bool to_server)
{
	if (GetDatabaseEncoding() != PG_UTF8 && is_ascii(text, length))
		return unconstify(char *, text);
	if (GetDatabaseEncoding() == PG_UTF8 || IsTransactionState())
		return convert(text, length, to_server);
	return convert_alone(text, length, to_server);
}

/* etl_my_from_utf8 copies unless the result is a copy already. */
char *
etl_my_from_utf8(const char *text, size_t length)
{
	char *converted = convert_any(text, length, true);

	return converted == text ? pnstrdup(text, length) : converted;
}

/* etl_my_to_utf8 returns the text itself when nothing is to be done. */
const char *
etl_my_to_utf8(const char *text)
{
	return convert_any(text, strlen(text), false);
}
