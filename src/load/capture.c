/*
 * capture.c
 *		Notes what a run changes in its target. See capture.h.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/batch.h"
#include "catalog/change_log.h"
#include "catalog/namespace.h"
#include "catalog/spi.h"
#include "compat.h"
#include "dag/statement.h"
#include "load/bisect.h"
#include "load/capture.h"
#include "load/dml.h"
#include "load/kept.h"
#include "load/touch.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* One task that follows. */
typedef struct Follower
{
	EtlFollower *follower;
	EtlPlan *plan;		/* form keys: of the follower's query */
	Bitmapset *columns; /* whose old values it needs */
	bool failed;
} Follower;

struct EtlCapture
{
	const EtlPlan *plan;
	int n;
	Follower *follower;
};

/* What write_log needs, for try. */
typedef struct Write
{
	const EtlCapture *capture;
	Follower *follower;
	const EtlImages *images;
	int64 batch_id;
	int64 rows;
} Write;

/* try does work in a subtransaction; false: an error undid it. A cancel goes on. */
static bool
try(void (*work)(void *arg), void *arg)
{
	ErrorData *error = etl_bisect_catch(work, arg);

	if (error != NULL)
		ereport(LOG, (errcode(error->sqlerrcode),
					  errmsg("etl_ext: a task that reads the target cannot be told of its changes: %s", error->message),
					  errdetail("It evaluates its query whole in its next run.")));
	return error == NULL;
}

/* log_columns reads from the names of a log's columns whose old values it takes. */
static Bitmapset *
log_columns(const char *table)
{
	Relation relation = table_openrv(makeRangeVarFromNameList(etl_compat_qualified_name(table)), AccessShareLock);
	Bitmapset *columns = NULL;
	int number;

	for (int i = 0; i < RelationGetDescr(relation)->natts; i++)
		if (sscanf(NameStr(TupleDescAttr(RelationGetDescr(relation), i)->attname), "_etl_o%d", &number) == 1)
			columns = bms_add_member(columns, number);
	table_close(relation, AccessShareLock);
	return columns;
}

/* prepare finds out what a follower needs. Its query is parsed as in a run of its own. */
static void
prepare(void *arg)
{
	Follower *follower = arg;
	const EtlTask *task = follower->follower->task;
	int level;

	if (!follower->follower->log.is_keys)
	{
		follower->columns = log_columns(follower->follower->log.table);
		return;
	}
	level = etl_attempt_author_path(task);
	follower->plan = etl_plan_make(task);
	AtEOXact_GUC(true, level);
	if (list_length(follower->plan->compile->drivers) != 1)
		elog(ERROR, "task \"%s\" can no longer be followed by keys", task->name);
	follower->columns = etl_kept_columns(linitial(follower->plan->compile->drivers));
}

/* etl_capture_open reads etl.change_log. */
EtlCapture *
etl_capture_open(const EtlPlan *plan)
{
	List *followers = plan->n_key > 0 ? etl_change_log_followers(plan->target_name, GetUserId()) : NIL;
	EtlCapture *capture;
	ListCell *cell;

	if (followers == NIL)
		return NULL;
	capture = palloc0(sizeof(EtlCapture));
	capture->plan = plan;
	capture->follower = palloc0(sizeof(Follower) * list_length(followers));
	foreach (cell, followers)
	{
		Follower *follower = &capture->follower[capture->n++];

		follower->follower = lfirst(cell);
		follower->failed = !try(prepare, follower);
	}
	return capture;
}

/* etl_capture_columns unites the needs of all. */
Bitmapset *
etl_capture_columns(const EtlCapture *capture)
{
	Bitmapset *columns = NULL;

	for (int i = 0; capture != NULL && i < capture->n; i++)
		columns = bms_add_members(columns, capture->follower[i].columns);
	return columns;
}

/* append_rows appends a SELECT from a FROM item in the form of the target, with NULL in the columns that nobody needs. */
static void
append_rows(StringInfo sql, Oid target, Bitmapset *columns, const char *rows)
{
	Relation relation = table_open(target, AccessShareLock);
	TupleDesc desc = RelationGetDescr(relation);

	appendStringInfoString(sql, "SELECT ");
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		appendStringInfoString(sql, i > 0 ? ", " : "");
		if (attribute->attisdropped)
			appendStringInfo(sql, "NULL::pg_catalog.int4 AS _etl_dropped_%d", i + 1);
		else if (bms_is_member(i + 1, columns))
			appendStringInfo(sql, "x.%s", quote_identifier(NameStr(attribute->attname)));
		else
			appendStringInfo(sql, "NULL::%s AS %s",
							 format_type_extended(attribute->atttypid, attribute->atttypmod,
												  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY),
							 quote_identifier(NameStr(attribute->attname)));
	}
	appendStringInfo(sql, " FROM %s AS x", rows);
	table_close(relation, NoLock);
}

/* keys_query returns the query for the keys of the follower's target that the images touch. */
static char *
keys_query(const Write *write)
{
	EtlCompile *compile = etl_compile_copy(write->follower->plan->compile);
	EtlInput *input = linitial(compile->drivers);
	const EtlImages *images = write->images;
	Oid target = write->capture->plan->target;
	StringInfoData sql;

	initStringInfo(&sql);
	if (images->new_rows != NULL)
		append_rows(&sql, target, write->follower->columns, images->new_rows);
	if (images->old_rows != NULL)
	{
		appendStringInfoString(&sql, sql.len > 0 ? " UNION ALL " : "");
		append_rows(&sql, target, write->follower->columns, images->old_rows);
	}
	etl_touch_project(write->follower->plan, compile->query);
	etl_compile_replace(input, etl_statement_analyze(linitial_node(RawStmt, etl_statement_parse(sql.data)), sql.data));
	return etl_compile_sql(compile);
}

/* write_keys fills a log in the form of keys. */
static void
write_keys(Write *write)
{
	const EtlPlan *plan = write->follower->plan;
	StringInfoData names;
	char *statement;
	int level;

	initStringInfo(&names);
	for (int i = 0; i < plan->n_key; i++)
		appendStringInfo(&names, ", %s", etl_plan_key(plan, i)->quoted);
	statement = psprintf("INSERT INTO %s (_etl_batch%s) SELECT " INT64_FORMAT
						 "%s FROM (SELECT DISTINCT %s FROM (%s) AS q) AS k",
						 write->follower->follower->log.table, names.data, write->batch_id, names.data,
						 names.data + strlen(", "), keys_query(write));
	level = etl_attempt_author_path(write->follower->follower->task);
	write->rows = etl_dml_run(statement).inserted;
	AtEOXact_GUC(true, level);
}

/* write_image adds one kind of images to a log in the form of rows. */
static void
write_image(Write *write, const char *rows, bool is_old)
{
	const EtlPlan *plan = write->capture->plan;
	StringInfoData names;
	StringInfoData values;
	int number = -1;

	initStringInfo(&names);
	initStringInfo(&values);
	for (int i = 0; i < plan->n_key; i++)
	{
		appendStringInfo(&names, ", _etl_k%d", get_attnum(plan->target, etl_plan_key(plan, i)->name));
		appendStringInfo(&values, ", x.%s", etl_plan_key(plan, i)->quoted);
	}
	while (is_old && (number = bms_next_member(write->follower->columns, number)) >= 0)
	{
		appendStringInfo(&names, ", _etl_o%d", number);
		appendStringInfo(&values, ", x.%s", quote_identifier(get_attname(plan->target, (AttrNumber) number, false)));
	}
	write->rows += etl_dml_run(psprintf("INSERT INTO %s (_etl_batch, _etl_old%s) SELECT " INT64_FORMAT
										", %s%s FROM %s AS x",
										write->follower->follower->log.table, names.data, write->batch_id,
										is_old ? "true" : "false", values.data, rows))
					   .inserted;
}

/* write_log writes one log, for try. */
static void
write_log(void *arg)
{
	Write *write = arg;
	bool is_keys = write->follower->follower->log.is_keys;
	bool with_old = !is_keys && !bms_is_empty(write->follower->columns) && write->images->old_rows != NULL;

	write->rows = 0;
	if (is_keys)
		write_keys(write);
	else
	{
		if (write->images->new_rows != NULL)
			write_image(write, write->images->new_rows, false);
		if (with_old)
			write_image(write, write->images->old_rows, true);
	}
	etl_change_log_add_batch(&write->follower->follower->log, write->batch_id, write->rows);
}

/* etl_capture_write makes a batch of the changes. */
void
etl_capture_write(EtlCapture *capture, EtlAttempt *attempt, const EtlImages *images)
{
	EtlBatch batch;

	if (capture == NULL || images->n_old + images->n_new == 0)
		return;
	etl_attempt_begin_batch(attempt, &batch);
	batch.row_count = images->n_old > images->n_new ? images->n_old : images->n_new;
	etl_batch_insert(&batch);
	for (int i = 0; i < capture->n; i++)
	{
		Write write = {capture, &capture->follower[i], images, batch.batch_id, 0};

		CHECK_FOR_INTERRUPTS();
		if (!capture->follower[i].failed)
			(void) try(write_log, &write);
	}
}

/* etl_capture_miss makes a batch that is in no log. Under the lock of the target. */
void
etl_capture_miss(const EtlAttempt *attempt, const char *target, int64 rows)
{
	EtlBatch batch;

	if (rows == 0 || etl_change_log_followers(target, GetUserId()) == NIL)
		return;
	etl_attempt_begin_batch(attempt, &batch);
	batch.target = target;
	batch.row_count = rows;
	etl_batch_insert(&batch);
}
