/*
 * drift.c
 *		schema_drift: what to do when the columns of a source are not those that the extract saw last. See extract_run.h.
 *
 * The columns that a source has are kept in etl.source_schema when an extract looks for the first time: which of them the
 * foreign table lacks, or has with another type, was the author's decision and is no change. What differs from them
 * later is one. A change that is dealt with goes into etl.source_schema; one that could only be followed in part, or that
 * stopped the extract (freeze), does not, and is found again by the next extract; its event is written once.
 */
#include "postgres.h"

#include "catalog/source_schema.h"
#include "contract/contract.h"
#include "errors.h"
#include "lib/stringinfo.h"
#include "notify/alert.h"
#include "source/drift.h"
#include "source/drift_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

typedef struct Drift
{
	EtlExtract *extract;
	const EtlTask *task;
	const char *policy;
	EtlDriftColumns *columns;
	EtlSourceSchema *seen; /* NULL: this is the first look */
	List *changes;		   /* of EtlDriftChange */
	EtlNames left_out;	   /* columns of the source that are not taken */
} Drift;

/* add_name appends to a list that has room. */
static void
add_name(EtlNames *names, const char *name)
{
	names->name[names->n++] = unconstify(char *, name);
}

/* find_name returns the place of a name, or -1. */
static int
find_name(const Drift *drift, const EtlNames *names, const char *name)
{
	for (int i = 0; i < names->n; i++)
		if (drift->columns->same_name(names->name[i], name))
			return i;
	return -1;
}

/* in_list says whether a column of the foreign table is in a list of the task. */
static bool
in_list(const EtlNames *names, const EtlColumn *column)
{
	for (int i = 0; column && i < names->n; i++)
		if (strcmp(names->name[i], column->name) == 0)
			return true;
	return false;
}

/* is_of_interest says whether the task takes a column, or would take it if it had the choice. */
static bool
is_of_interest(const Drift *drift, const EtlColumn *local)
{
	return drift->task->columns.n == 0 || in_list(&drift->task->columns, local);
}

/* orders says whether the extract reads by a column. */
static bool
orders(const Drift *drift, const EtlColumn *column)
{
	const char *cursor = drift->task->cursor_column;

	return (cursor && strcmp(cursor, column->name) == 0) || in_list(&drift->task->primary_key, column);
}

/* add_change notes a change. */
static EtlDriftChange *
add_change(Drift *drift, const char *what, const char *column, const char *old_type, const char *new_type)
{
	EtlDriftChange *change = palloc0(sizeof(EtlDriftChange));

	change->event.column = column;
	change->event.change = what;
	change->event.old_type = old_type;
	change->event.new_type = new_type;
	change->event.policy = drift->policy;
	drift->changes = lappend(drift->changes, change);
	return change;
}

/* compare_column looks at a column that the source has now. */
static void
compare_column(Drift *drift, const EtlDriftColumn *column)
{
	static const char *const words[] = {NULL, "widened", "narrowed", "changed"};
	int i = drift->seen ? find_name(drift, &drift->seen->columns, column->name) : -1;
	bool was_left_out = drift->seen && find_name(drift, &drift->seen->left_out, column->name) >= 0;
	bool evolves = strcmp(drift->policy, "discard") != 0;
	EtlTypeChange change;

	if (!is_of_interest(drift, column->local) || (drift->seen == NULL && column->local == NULL) ||
		(was_left_out && (column->local == NULL || !evolves)))
	{
		add_name(&drift->left_out, column->name);
		return;
	}
	if (drift->seen == NULL)
		return;
	if (i < 0 || was_left_out)
	{
		add_change(drift, "added", column->name, NULL, column->type)->local = column->local;
		return;
	}
	change = etl_drift_type_compare(drift->seen->types.name[i], column->type);
	if (change != ETL_TYPE_SAME && column->local)
		add_change(drift, words[change], column->name, drift->seen->types.name[i], column->type)->local = column->local;
}

/* find_local returns the column of the foreign table that the server calls so, or NULL. */
static const EtlColumn *
find_local(const Drift *drift, const char *name)
{
	for (int i = 0; i < drift->columns->all->n; i++)
		if (drift->columns->same_name(drift->columns->remote_name[i], name))
			return &drift->columns->all->column[i];
	return NULL;
}

/* find_dropped looks for columns that the source had, and for those that only the foreign table has. */
static void
find_dropped(Drift *drift)
{
	const EtlDriftColumns *columns = drift->columns;

	for (int i = 0; drift->seen && i < drift->seen->columns.n; i++)
	{
		char *name = drift->seen->columns.name[i];
		const EtlColumn *local = find_local(drift, name);
		bool was_taken = find_name(drift, &drift->seen->left_out, name) < 0;

		if (etl_drift_columns_find(columns, name) == NULL && (was_taken || local) &&
			(columns->is_remote ? is_of_interest(drift, local) : drift->task->columns.n == 0))
			add_change(drift, "dropped", name, drift->seen->types.name[i], NULL)->local = local;
	}
	for (int i = 0; columns->is_remote && i < columns->all->n; i++)
	{
		const EtlColumn *local = &columns->all->column[i];
		char *name = columns->remote_name[i];

		if (etl_drift_columns_find(columns, name) ||
			(drift->seen && find_name(drift, &drift->seen->columns, name) >= 0) || !is_of_interest(drift, local))
			continue;
		add_change(drift, "dropped", name, format_type_with_typemod(local->type, local->typmod), NULL)->local = local;
	}
}

/* find_changes compares what the source has with what it had. */
static void
find_changes(Drift *drift)
{
	drift->left_out.name = palloc(sizeof(char *) * (drift->columns->n + 1));
	for (int i = 0; i < drift->columns->n; i++)
		if (drift->columns->column[i].readable)
			compare_column(drift, &drift->columns->column[i]);
	find_dropped(drift);
}

/* describe_change writes a change in words. */
static char *
describe_change(const EtlDriftChange *change)
{
	const EtlSchemaEvent *event = &change->event;

	if (event->old_type == NULL)
		return psprintf("column \"%s\" (%s) was added", event->column, event->new_type);
	if (event->new_type == NULL)
		return psprintf("column \"%s\" (%s) was dropped", event->column, event->old_type);
	return psprintf("column \"%s\" was %s from %s to %s", event->column, event->change, event->old_type,
					event->new_type);
}

/* tell writes the events; what is new among them goes into an alert and the note of the attempt. */
static void
tell(Drift *drift)
{
	EtlAttempt *attempt = drift->extract->attempt;
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach (cell, drift->changes)
	{
		EtlDriftChange *change = lfirst(cell);

		if (etl_schema_event_insert(attempt, &change->event))
			appendStringInfo(&text, "%s%s: %s", text.len ? "; " : "", describe_change(change), change->event.action);
	}
	if (text.len == 0)
		return;
	etl_attempt_note(attempt, "Source %s has changed: %s.", drift->columns->all->name, text.data);
	etl_alert_task(ETL_ALERT_SCHEMA_CHANGED, attempt->task_run_id,
				   psprintf("source %s has changed: %s", drift->columns->all->name, text.data));
}

/* refuse ends the attempt after the events were committed. */
static void
refuse(Drift *drift, const char *message, const char *hint)
{
	StringInfoData detail;
	ListCell *cell;

	tell(drift);
	etl_attempt_step(drift->extract->attempt);
	initStringInfo(&detail);
	foreach (cell, drift->changes)
		appendStringInfo(&detail, "%s%s", detail.len ? "; " : "", describe_change(lfirst(cell)));
	detail.data[0] = pg_toupper((unsigned char) detail.data[0]);
	ereport(ERROR, (errcode(ERRCODE_ETL_SCHEMA_CHANGED), errmsg("%s", message), errdetail("%s.", detail.data),
					errhint("%s", hint)));
}

/* refuse_frozen is what freeze does. */
static void
refuse_frozen(Drift *drift)
{
	ListCell *cell;

	foreach (cell, drift->changes)
		((EtlDriftChange *) lfirst(cell))->event.action = "nothing was read";
	refuse(drift, psprintf("the columns of source %s have changed", drift->columns->all->name),
		   psprintf("Nothing was read. To go on with the source as it is now: change the foreign table if you want the"
					" new columns, then etl.alter_task(..., '%s', schema_drift => 'freeze'); 'evolve' follows changes.",
					drift->task->name));
}

/* refuse_change refuses because of one of the changes. */
static void
refuse_change(Drift *drift, const char *message)
{
	ListCell *cell;

	foreach (cell, drift->changes)
		((EtlDriftChange *) lfirst(cell))->event.action = "nothing was read";
	refuse(drift, message,
		   "Nothing was read. Name another cursor_column, primary_key or columns with etl.alter_task, or put the column"
		   " back.");
}

/* check_needed refuses when a column that the extract cannot do without is gone, or an order is that of another type. */
static void
check_needed(Drift *drift)
{
	ListCell *cell;

	foreach (cell, drift->changes)
	{
		EtlDriftChange *change = lfirst(cell);
		const EtlColumn gone = {.name = unconstify(char *, change->event.column)};
		const EtlColumn *column = change->local ? change->local : &gone;

		if (change->event.new_type == NULL && (orders(drift, column) || in_list(&drift->task->columns, column)))
			refuse_change(drift,
						  psprintf("source %s has no column \"%s\" any more", drift->columns->all->name, column->name));
		if (strcmp(change->event.change, "changed") == 0 && orders(drift, column))
			refuse_change(drift, psprintf("column \"%s\" of source %s has another type", column->name,
										  drift->columns->all->name));
	}
}

/* follow carries the policy out for one change. */
static void
follow(Drift *drift, EtlDriftChange *change)
{
	const EtlDriftColumn *column = etl_drift_columns_find(drift->columns, change->event.column);
	bool evolves = strcmp(drift->policy, "evolve") == 0;
	bool is_added = change->event.old_type == NULL;
	bool is_dropped = change->event.new_type == NULL;

	if (is_added && evolves)
		etl_drift_apply_added(drift->extract, drift->columns, column, change);
	else if (is_added)
	{
		change->event.action = "not taken";
		change->excluded = true;
	}
	else if (is_dropped && evolves)
		etl_drift_apply_dropped(drift->extract, drift->columns, change);
	else if (is_dropped)
	{
		change->event.action = "no longer read; NULL in new rows";
		change->excluded = change->pending = drift->columns->is_remote && change->local;
	}
	else if (evolves && strcmp(change->event.change, "widened") == 0)
		etl_drift_apply_widened(drift->extract, drift->columns, column, change);
	else if (strcmp(change->event.change, "narrowed") == 0)
		change->event.action = "nothing: the wider type takes all values";
	else
	{
		change->event.action = "nothing: a value that does not fit is an error";
		/* evolve may follow one day. */
		change->pending = strcmp(change->event.change, "widened") == 0;
	}
	if (is_added && change->excluded)
		add_name(&drift->left_out, change->event.column);
}

/* find_pending returns the change of a column that is still to be followed, or NULL. */
static const EtlDriftChange *
find_pending(const Drift *drift, const char *name)
{
	ListCell *cell;

	foreach (cell, drift->changes)
	{
		const EtlDriftChange *change = lfirst(cell);

		if (change->pending && drift->columns->same_name(change->event.column, name))
			return change;
	}
	return NULL;
}

/* keep writes what was seen; changes that were not followed stay as they were. */
static void
keep(Drift *drift)
{
	int n_seen = drift->seen ? drift->seen->columns.n : 0;
	EtlSourceSchema now = {drift->task->source, unconstify(char *, drift->columns->origin)};

	now.columns.name = palloc(sizeof(char *) * (drift->columns->n + n_seen + 1));
	now.types.name = palloc(sizeof(char *) * (drift->columns->n + n_seen + 1));
	now.left_out = drift->left_out;
	for (int i = 0; i < drift->columns->n; i++)
	{
		const EtlDriftColumn *column = &drift->columns->column[i];
		const EtlDriftChange *pending = find_pending(drift, column->name);

		if (!column->readable || (pending && pending->event.old_type == NULL))
			continue;
		add_name(&now.columns, column->name);
		add_name(&now.types, pending ? pending->event.old_type : column->type);
	}
	for (int i = 0; i < n_seen; i++)
	{
		const EtlDriftChange *pending = find_pending(drift, drift->seen->columns.name[i]);

		if (pending == NULL || pending->event.new_type)
			continue;
		add_name(&now.columns, drift->seen->columns.name[i]);
		add_name(&now.types, drift->seen->types.name[i]);
	}
	etl_source_schema_set(drift->task->task_id, &now);
}

/* is_excluded says whether a column of the relation is not to be read. */
static bool
is_excluded(const Drift *drift, int i)
{
	const EtlColumn *local = &drift->columns->all->column[i];
	ListCell *cell;

	foreach (cell, drift->changes)
	{
		const EtlDriftChange *change = lfirst(cell);

		if (change->excluded && change->local && strcmp(change->local->name, local->name) == 0)
			return true;
	}
	return drift->task->columns.n == 0 && find_name(drift, &drift->left_out, drift->columns->remote_name[i]) >= 0;
}

/* choose_columns leaves out of what is read what is gone or not wanted. */
static void
choose_columns(Drift *drift)
{
	const EtlSource *all = drift->columns->all;
	EtlNames rest = {0, palloc(sizeof(char *) * (all->n + 1))};
	bool excluded = false;

	for (int i = 0; i < all->n; i++)
	{
		if (is_excluded(drift, i))
			excluded = true;
		else
			add_name(&rest, all->column[i].name);
	}
	if (excluded && drift->task->columns.n == 0)
		drift->extract->columns = rest;
}

/* is_new says whether there are other columns than those that were seen, even if the extract does not take them. */
static bool
is_new(const Drift *drift)
{
	if (drift->seen == NULL || drift->seen->left_out.n != drift->left_out.n)
		return true;
	for (int i = 0; i < drift->columns->n; i++)
		if (drift->columns->column[i].readable &&
			find_name(drift, &drift->seen->columns, drift->columns->column[i].name) < 0)
			return true;
	return false;
}

/* run compares and follows; in the context of the extract. */
static void
run(Drift *drift)
{
	ListCell *cell;

	find_changes(drift);
	if (drift->changes && strcmp(drift->policy, "freeze") == 0)
		refuse_frozen(drift);
	check_needed(drift);
	foreach (cell, drift->changes)
		follow(drift, lfirst(cell));
	choose_columns(drift);
	if (drift->changes == NIL && !is_new(drift))
		return;
	tell(drift);
	keep(drift);
	etl_attempt_step(drift->extract->attempt);
}

/* etl_drift_check compares, follows and commits what it did before anything is read. */
void
etl_drift_check(EtlExtract *extract)
{
	const EtlTask *task = extract->attempt->task;
	Drift drift = {extract, task, task->schema_drift ? task->schema_drift : "evolve"};
	MemoryContext old = MemoryContextSwitchTo(extract->context);

	drift.columns = etl_drift_columns_get(extract);
	MemoryContextSwitchTo(extract->context);
	drift.seen = etl_source_schema_get(task->task_id);
	if (drift.seen &&
		(strcmp(drift.seen->source, task->source) != 0 || strcmp(drift.seen->origin, drift.columns->origin) != 0))
		drift.seen = NULL;
	etl_contract_see_columns(extract, drift.columns);
	if (drift.columns->n > 0)
		run(&drift);
	MemoryContextSwitchTo(old);
}
