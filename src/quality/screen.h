/*
 * screen.h
 *		Checks with action => 'quarantine': the rows of a load that are at fault go to etl.quarantine instead of its target.
 *		load/screen.c moves them.
 */
#ifndef ETL_SCREEN_H
#define ETL_SCREEN_H

#include "catalog/check_result.h"

/* One such check of an attempt; in EtlAttempt.screens. */
typedef struct EtlScreen
{
	const EtlTask *check;
	EtlCheckResult *result; /* filled in when the rows were looked at */
	bool is_done;
} EtlScreen;

/* The name under which the rows have to be read, and the condition that is true for those at fault. */
extern char *etl_screen_condition(const EtlScreen *screen, char **alias);

/* Notes that affected of rows in a relation meet the condition. Before they are moved; with the author's search_path. */
extern void etl_screen_note(EtlScreen *screen, int64 rows, int64 affected, const char *relation, const char *condition);

/* Notes that nothing was loaded, so that no row was at fault. */
extern void etl_screen_note_nothing(EtlScreen *screen);

#endif /* ETL_SCREEN_H */
