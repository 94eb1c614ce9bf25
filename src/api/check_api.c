/*
 * check_api.c
 *		etl.run_checks: checks by hand.
 *
 * The checks run as their owners, in a security-restricted operation: what they call can leave nothing behind that would
 * run with the rights of the caller.
 */
#include "postgres.h"

#include "access/access.h"
#include "api/args.h"
#include "catalog/pipeline.h"
#include "catalog/task.h"
#include "funcapi.h"
#include "load/bisect.h"
#include "miscadmin.h"
#include "quality/check.h"
#include "source/relation.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(etl_run_checks);

/* Checks of one owner. */
typedef struct Batch
{
	const EtlTask **task;
	EtlCheckResult **result;
	int n;
} Batch;

/* evaluate is for etl_bisect_catch. */
static void
evaluate(void *arg)
{
	Batch *batch = arg;
	Oid user;
	int sec_context;
	int level = NewGUCNestLevel();

	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(batch->task[0]->owner,
						   sec_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	etl_check_evaluate(batch->task, batch->result, batch->n);
	AtEOXact_GUC(false, level);
	SetUserIdAndSecContext(user, sec_context);
}

/* evaluate_batch evaluates all, or each by itself, so that the error of one does not hide the others. */
static void
evaluate_batch(Batch *batch)
{
	if (etl_bisect_catch(evaluate, batch) == NULL)
		return;
	for (int i = 0; i < batch->n; i++)
	{
		Batch one = {&batch->task[i], &batch->result[i], 1};
		ErrorData *error;

		CHECK_FOR_INTERRUPTS();
		error = etl_bisect_catch(evaluate, &one);
		if (error == NULL)
			continue;
		etl_check_begin(batch->task[i], batch->result[i]);
		batch->result[i]->message = error->message;
	}
}

/* put_result writes a result as a row. */
static void
put_result(ReturnSetInfo *set, const EtlPipeline *pipeline, const EtlCheckResult *result)
{
	const char *text[] = {
		pipeline->name,	  result->check_name, result->check_type, etl_check_result_state(result->state),
		result->measured, result->unit,		  result->baseline,	  result->warn,
		result->fail,	  result->message};
	Datum value[11];
	bool isnull[11];

	for (int i = 0; i < lengthof(text); i++)
	{
		isnull[i] = text[i] == NULL;
		if (isnull[i])
			value[i] = (Datum) 0;
		else if (text[i] == result->measured || text[i] == result->baseline)
			value[i] = DirectFunctionCall3(numeric_in, CStringGetDatum(text[i]), ObjectIdGetDatum(InvalidOid),
										   Int32GetDatum(-1));
		else
			value[i] = CStringGetTextDatum(text[i]);
	}
	/* They are rows of the target. */
	isnull[10] = result->samples == NULL || !etl_access_may(GetUserId(), pipeline, ETL_LEVEL_ADMIN);
	value[10] = JsonbPGetDatum(result->samples);
	tuplestore_putvalues(set->setResult, set->setDesc, value, isnull);
}

/* add_checks adds the enabled checks of a table that a pipeline has. */
static void
add_checks(Batch *all, const EtlPipeline *pipeline, const char *target)
{
	EtlTaskList tasks = etl_task_list(pipeline->pipeline_id);

	for (int i = 0; i < tasks.n; i++)
	{
		EtlTask *task = tasks.task[i];

		if (task->kind != ETL_TASK_CHECK || !task->enabled || strcmp(task->target, target) != 0)
			continue;
		if (!OidIsValid(task->owner))
			task->owner = pipeline->owner;
		all->task = repalloc(all->task, sizeof(EtlTask *) * (all->n + 1));
		all->result = repalloc(all->result, sizeof(EtlCheckResult *) * (all->n + 1));
		all->task[all->n] = task;
		all->result[all->n++] = palloc0(sizeof(EtlCheckResult));
	}
}

/* evaluate_all evaluates the checks of each owner together. */
static void
evaluate_all(const Batch *all)
{
	bool *done = palloc0(sizeof(bool) * Max(all->n, 1));

	for (int i = 0; i < all->n; i++)
	{
		Batch batch = {palloc(sizeof(EtlTask *) * all->n), palloc(sizeof(EtlCheckResult *) * all->n), 0};

		for (int j = i; j < all->n; j++)
		{
			if (done[j] || all->task[j]->owner != all->task[i]->owner)
				continue;
			done[j] = true;
			batch.task[batch.n] = all->task[j];
			batch.result[batch.n++] = all->result[j];
		}
		if (batch.n > 0)
			evaluate_batch(&batch);
	}
}

/* find_target returns the full name of the table. */
static char *
find_target(const char *name)
{
	Oid relation = etl_relation_find(name);

	if (!OidIsValid(relation))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("target \"%s\" does not exist", name),
						errdetail("Checks look at tables, views, materialized views and foreign tables."),
						errhint("A name without schema is looked up in search_path.")));
	return etl_relation_name(relation);
}

/* etl.run_checks(target, pipeline, store) RETURNS TABLE (...) */
Datum
etl_run_checks(PG_FUNCTION_ARGS)
{
	char *target = find_target(etl_args_required(fcinfo, "target"));
	char *name = etl_args_text(fcinfo, "pipeline");
	EtlNames names = name ? (EtlNames){1, &name} : etl_pipeline_names_checking(target);
	EtlPipeline **pipeline = palloc(sizeof(EtlPipeline *) * Max(names.n, 1));
	Batch all = {palloc(sizeof(EtlTask *)), palloc(sizeof(EtlCheckResult *)), 0};

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < names.n; i++)
	{
		pipeline[i] = name ? etl_access_pipeline(name, ETL_LEVEL_OPERATOR) : etl_pipeline_find(names.name[i], false);
		if (pipeline[i] != NULL && etl_access_may(GetUserId(), pipeline[i], ETL_LEVEL_OPERATOR))
			add_checks(&all, pipeline[i], target);
	}
	if (all.n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("%s has no checks", target),
				 errdetail("No enabled check that you may run has it as target."),
				 errhint("SELECT command FROM etl.suggest_checks(%s) proposes some.", quote_literal_cstr(target))));
	evaluate_all(&all);
	for (int i = 0; i < all.n; i++)
	{
		if (PG_ARGISNULL(2) || PG_GETARG_BOOL(2))
			etl_check_result_insert(all.result[i]);
		for (int j = 0; j < names.n; j++)
			if (pipeline[j] != NULL && pipeline[j]->pipeline_id == all.task[i]->pipeline_id)
				put_result((ReturnSetInfo *) fcinfo->resultinfo, pipeline[j], all.result[i]);
	}
	return (Datum) 0;
}
