/*
 * budget.c
 *		The table etl.budget. See budget.h.
 */
#include "postgres.h"

#include "catalog/budget.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* etl_budget_find locks a budget and returns its owner. */
bool
etl_budget_find(const char *name, Oid *owner)
{
	static EtlStatement find = {
		"SELECT owner::oid AS owner FROM etl.budget WHERE name = $1 FOR NO KEY UPDATE", 1, {TEXTOID}};
	EtlScope scope;
	bool found;
	Datum value = CStringGetTextDatum(name);

	etl_catalog_begin(&scope);
	found = etl_catalog_exec(&find, &value, NULL, SPI_OK_SELECT) > 0;
	if (found)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		*owner = etl_row_oid(&row, "owner");
	}
	etl_catalog_end(&scope);
	return found;
}

/* etl_budget_set stores a budget. */
void
etl_budget_set(const EtlBudget *budget)
{
	static EtlStatement set = {
		"INSERT INTO etl.budget (name, amount, period, pipeline_id, tags, warn_pct, owner) "
		"VALUES ($1, $2, $3, $4, coalesce($5, '{}'), $6, $7) ON CONFLICT (name) DO UPDATE SET amount = $2, period = "
		"$3, "
		"pipeline_id = $4, tags = coalesce($5, '{}'), warn_pct = $6, warned_for = NULL, exceeded_for = NULL, "
		"updated_at = now()",
		7,
		{TEXTOID, NUMERICOID, TEXTOID, INT8OID, JSONBOID, NUMERICOID, OIDOID}};
	Datum value[7];
	char null[7] = {' ', ' ', ' ', ' ', ' ', ' ', ' '};

	value[0] = CStringGetTextDatum(budget->name);
	value[1] = NumericGetDatum(budget->amount);
	value[2] = CStringGetTextDatum(budget->period);
	value[3] = Int64GetDatum(budget->pipeline_id);
	null[3] = budget->pipeline_id == 0 ? 'n' : ' ';
	value[4] = etl_arg_pointer(budget->tags, &null[4]);
	value[5] = NumericGetDatum(budget->warn_pct);
	value[6] = ObjectIdGetDatum(budget->owner);
	etl_catalog_call(&set, value, null, SPI_OK_INSERT);
}

/* etl_budget_delete removes a budget. */
void
etl_budget_delete(const char *name)
{
	static EtlStatement delete = {"DELETE FROM etl.budget WHERE name = $1", 1, {TEXTOID}};
	Datum value = CStringGetTextDatum(name);

	etl_catalog_call(&delete, &value, NULL, SPI_OK_DELETE);
}

/* etl_budget_exists says whether there is a budget. */
bool
etl_budget_exists(void)
{
	static EtlStatement find = {"SELECT 1 FROM etl.budget LIMIT 1", 0, {0}};

	return etl_catalog_call(&find, NULL, NULL, SPI_OK_SELECT) > 0;
}

/* read_alert fills the struct. */
static void
read_alert(const EtlRow *row, EtlBudgetAlert *alert)
{
	alert->name = etl_row_text(row, "name");
	alert->is_exceeded = etl_row_bool(row, "is_exceeded");
	alert->owner = etl_row_oid(row, "owner");
	alert->pipeline = etl_row_text(row, "pipeline");
	alert->tags = etl_row_jsonb(row, "tags");
	alert->message = etl_row_text(row, "message");
}

/*
 * etl_budget_due looks at all budgets that nobody is changing just now. One that is exceeded does not warn any more.
 * What the view says is what the owner of the budget sees: the sums of it do not depend on who asks.
 */
int
etl_budget_due(EtlBudgetAlert **alert)
{
	static EtlStatement due = {
		"WITH due AS MATERIALIZED (SELECT b.name, s.state, s.period_start, s.pipeline, "
		"  format('%s of %s %s (%s %%) were spent since %s; %s are expected by the end of the %s', round(s.spent, 2), "
		"    s.amount, s.currency, round(s.percent, 1), s.period_start, round(s.forecast, 2), s.period) AS message "
		"  FROM etl.budget AS b JOIN etl.budget_status AS s ON s.budget = b.name "
		"  WHERE s.state = 'exceeded' AND b.exceeded_for IS DISTINCT FROM s.period_start "
		"  OR s.state = 'warning' AND b.warned_for IS DISTINCT FROM s.period_start "
		"  FOR NO KEY UPDATE OF b SKIP LOCKED), "
		"noted AS (UPDATE etl.budget AS b SET warned_for = d.period_start, "
		"  exceeded_for = CASE WHEN d.state = 'exceeded' THEN d.period_start ELSE b.exceeded_for END "
		"  FROM due AS d WHERE b.name = d.name RETURNING b.name, b.owner, b.tags, b.pipeline_id, d.state, d.message) "
		"SELECT n.name, n.state = 'exceeded' AS is_exceeded, n.owner::oid AS owner, p.name AS pipeline, "
		"coalesce(p.tags, '{}') || n.tags AS tags, n.message "
		"FROM noted AS n LEFT JOIN etl.pipeline AS p ON p.pipeline_id = n.pipeline_id ORDER BY 1",
		0,
		{0}};
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&due, NULL, NULL, SPI_OK_SELECT);
	*alert = MemoryContextAllocZero(scope.caller, sizeof(EtlBudgetAlert) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		read_alert(&row, &(*alert)[i]);
	}
	etl_catalog_end(&scope);
	return n;
}
