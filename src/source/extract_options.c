/*
 * extract_options.c
 *		Checks the options of an extract that go beyond names and types. See extract_options.h.
 */
#include "postgres.h"

#include "source/deletes.h"
#include "source/extract_options.h"
#include "source/large_options.h"
#include "source/null_cursor.h"

/* etl_extract_check_options is called at definition time, with cursor and key already checked. */
void
etl_extract_check_options(const EtlTask *task, const EtlSource *source)
{
	etl_large_options_check(task, source);
	etl_deletes_check(task, source);
	etl_null_cursor_check_options(task);
}
