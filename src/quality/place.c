/*
 * place.c
 *		Where a check stands among the tasks of its pipeline: gate, stage and action. See check.h.
 */
#include "postgres.h"

#include "quality/check.h"

/* is says whether an option has a value. */
static bool
is(const char *option, const char *value)
{
	return option != NULL && strcmp(option, value) == 0;
}

/* etl_check_is_screen looks at the action. */
bool
etl_check_is_screen(const EtlTask *task)
{
	return is(task->action, "quarantine");
}

/* etl_check_is_before_task looks at the stage. */
bool
etl_check_is_before_task(const EtlTask *task)
{
	return is(task->stage, "source");
}

/* etl_check_only_warns looks at the action. */
bool
etl_check_only_warns(const EtlTask *task)
{
	return is(task->action, "warn");
}

/* etl_check_holds_readers looks at the stage. */
bool
etl_check_holds_readers(const EtlTask *task)
{
	return is(task->stage, "raw");
}

/* refuse raises an error about options that do not go together. */
static void
pg_attribute_noreturn() refuse(const char *message, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message), errdetail("%s", detail),
					errhint("%s", hint)));
}

/* writes says whether a task writes a table. */
static bool
writes(const EtlTask *task, const char *target)
{
	for (int i = 0; i < task->writes.n; i++)
		if (strcmp(task->writes.name[i], target) == 0)
			return true;
	return false;
}

/* find_gated returns the task that a check is to gate: the one that is named, or the one that writes the target. */
static const EtlTask *
find_gated(const EtlTask *task, const EtlTaskList *tasks)
{
	const EtlTask *found = NULL;

	for (int i = 0; i < tasks->n; i++)
	{
		const EtlTask *other = tasks->task[i];

		if (task->gate != NULL ? strcmp(other->name, task->gate) != 0
							   : other->kind == ETL_TASK_CHECK || !writes(other, task->target))
			continue;
		if (found != NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("it is not clear which task check \"%s\" gates", task->name),
							errdetail("Tasks \"%s\" and \"%s\" write %s.", found->name, other->name, task->target),
							errhint("Name one of them: gate => '%s'.", found->name)));
		found = other;
	}
	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("check \"%s\" has no task to gate", task->name),
				 errdetail("No task of the pipeline writes %s.", task->target),
				 errhint("Add the task first, or name it: gate => 'task'.")));
	return found;
}

/* check_screen refuses to put rows aside where that would lose or change others. */
static void
check_screen(const EtlTask *task, const EtlTask *gated)
{
	if (!etl_check_type_get(task->check_type)->is_by_row)
		refuse("this type of check cannot put rows aside",
			   psprintf("A check of type %s does not tell of a single row whether it is at fault.", task->check_type),
			   "Use action => 'gate', or a check of type null_pct, accepted_values, range, regex, relationship or "
			   "expression.");
	if (gated->kind != ETL_TASK_LOAD)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("rows of task \"%s\" cannot be put aside", gated->name),
				 errdetail("Raw tables keep what came, and groups of an aggregate are recomputed as a whole."),
				 errhint("Put the rows aside in the load that they go into.")));
	if (strcmp(gated->target, task->target) != 0)
		refuse("action \"quarantine\" needs the target of the load that it gates",
			   psprintf("The load writes %s, and the check looks at %s.", gated->target, task->target),
			   "Name the target of the load as target.");
	if (task->filter != NULL)
		refuse("action \"quarantine\" takes no filter", "All rows of the load are looked at.",
			   "Make the filter a part of an expression.");
}

/* check_stage refuses a gate at a stage without one. */
static void
check_stage(const EtlTask *task)
{
	bool is_gate = is(task->stage, "source") || is(task->stage, "before_commit");

	if (task->gate != NULL && task->stage != NULL && !is_gate)
		refuse("gate and stage do not go together", psprintf("At stage %s a check is a step by itself.", task->stage),
			   "Leave out gate, or use stage => 'before_commit'.");
	if (is(task->stage, "source") && task->gate == NULL)
		refuse("stage \"source\" needs gate", "The check is evaluated before the task that it gates begins.",
			   "Name the extract: gate => 'task'.");
	if (etl_check_is_screen(task) && is(task->stage, "source"))
		refuse("action \"quarantine\" and stage \"source\" do not go together",
			   "Rows are put aside before they are written to the target of a load.", "Leave out stage.");
}

/* etl_check_place finds the gated task. */
void
etl_check_place(EtlTask *task, const EtlTaskList *tasks)
{
	const EtlTask *gated;

	check_stage(task);
	if (task->gate == NULL && !is(task->action, "gate") && !etl_check_is_screen(task) &&
		!is(task->stage, "before_commit"))
		return;
	if (task->stage != NULL && strcmp(task->stage, "before_commit") != 0 && strcmp(task->stage, "source") != 0)
		refuse("action and stage do not go together",
			   psprintf("A gate is evaluated before its task commits, not at stage %s.", task->stage),
			   "Leave out stage, or use action => 'fail'.");
	gated = find_gated(task, tasks);
	task->gate = gated->name;
	if (task->depends_on.n > 0)
		refuse("a gate cannot have depends_on", psprintf("It is evaluated as part of task \"%s\".", gated->name),
			   "Leave out depends_on or gate.");
	if (etl_check_is_screen(task))
		check_screen(task, gated);
}
