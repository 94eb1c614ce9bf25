/*
 * screen.c
 *		Checks with action => 'quarantine'. See screen.h.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "quality/check.h"
#include "quality/condition.h"
#include "quality/sample.h"
#include "quality/screen.h"

/* etl_screen_condition: the rows stand for the target. */
char *
etl_screen_condition(const EtlScreen *screen, char **alias)
{
	EtlProbe probe;

	etl_measure_describe(&probe, screen->check, 0);
	*alias = probe.target->alias;
	return etl_condition_fault(screen->check, probe.target, psprintf("%s.", probe.target->alias));
}

/* names_of_columns lists the columns of a check for people. */
static char *
names_of_columns(const EtlTask *check)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < check->columns.n; i++)
		appendStringInfo(&names, "%s%s", i > 0 ? " or " : "", check->columns.name[i]);
	return names.data;
}

/* etl_screen_note judges what was counted elsewhere. */
void
etl_screen_note(EtlScreen *screen, int64 rows, int64 affected, const char *relation, const char *condition)
{
	EtlCheckResult *result = screen->result;
	EtlProbe probe;

	etl_measure_describe(&probe, screen->check, 0);
	probe.measure.rows = rows;
	probe.measure.affected = affected;
	probe.measure.column = names_of_columns(screen->check);
	etl_check_begin(screen->check, result);
	etl_check_judge(&probe, result);
	if (affected > 0)
	{
		result->samples = etl_sample_rows_of(&probe, relation, condition, result->run_id);
		result->message = psprintf("%s; they go to etl.quarantine", result->message);
	}
	result->sql = condition;
	screen->is_done = true;
}

/* etl_screen_note_nothing passes. */
void
etl_screen_note_nothing(EtlScreen *screen)
{
	if (screen->is_done)
		return;
	etl_check_begin(screen->check, screen->result);
	screen->result->state = ETL_CHECK_NOT_EVALUATED;
	screen->result->message = "nothing was loaded";
	screen->is_done = true;
}
