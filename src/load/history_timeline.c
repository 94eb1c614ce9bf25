/*
 * history_timeline.c
 *		From versions, delete markers and the rows of the target to what has to be written. See history_run.h.
 *
 * Points. Each version begins at its time and each marker ends the key at its own: kinds 'v' and 'd'. The rows of the
 * target are points too: 'v' where they begin, 'd' where they end and no other begins. At one time of a key only one point
 * counts: what comes in before what is there, then the later batch. In a rebuild the rows of keys that have versions are no
 * points; only their surrogates stay, where a version begins at the same time.
 *
 * Changes. In the order of time, a version that follows a version with equal tracked columns is part of it; the others
 * begin an interval, which ends where the next begins or the key ends. An interval that has a row in the target is
 * an update of it, otherwise an insert; rows of the target that are left over are deleted.
 *
 * Time of a marker. It is the marker's own unless that is unknown: there is none, it repeats the one of the version that
 * was deleted, or the marker comes from a comparison of keys. Then the key ends when the marker was loaded.
 *
 * Coming back. Extracts that find deletes read what is in the source, so a version that was loaded after the key has
 * ended says that it is there again, even if its own time lies before the end: the key then begins anew when it was loaded.
 *
 * Inferred rows. The first version of the key takes their place and their surrogate. Such a row goes on beginning at
 * -infinity; the version's own time is a point as well, so that what happened before can still be told from it.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "load/history_run.h"
#include "load/text.h"
#include "utils/lsyscache.h"

/* A row of the target whose place the first version of its key takes. */
static const char *
head_condition(const EtlHistoryRun *run, const char *row)
{
	if (run->is_rebuild)
		return psprintf("(%s." ETL_IS_INFERRED " OR %s." ETL_VALID_FROM " = '-infinity')", row, row);
	return psprintf("%s." ETL_IS_INFERRED, row);
}

/* append_point begins the SELECT of a kind of points; source: alias of the row with the columns, or NULL. */
static void
append_point(StringInfo sql, const EtlPlan *plan, const char *key, const char *source)
{
	appendStringInfo(sql, "SELECT %s._etl_k, ", key);
	for (int i = 0; i < plan->columns.n; i++)
	{
		const EtlColumn *column = &plan->columns.column[i];

		if (source != NULL)
			appendStringInfo(sql, "%s.%s, ", source, column->quoted);
		else
			appendStringInfo(sql, "NULL::%s AS %s, ", etl_text_type(column->target_type, column->target_typmod),
							 column->quoted);
	}
}

/* append_facts appends the rest of a point. */
static void
append_facts(StringInfo sql, const char *time, char kind, const char *is_old, const char *batch, const char *surrogate)
{
	appendStringInfo(sql,
					 "%s AS _etl_t, '%c'::pg_catalog.\"char\" AS _etl_kind, %s AS _etl_is_old, %s AS _etl_batch,"
					 " %s::pg_catalog.int8 AS _etl_s\n  ",
					 time, kind, is_old, batch, surrogate);
}

/* version_time returns the time of a version, version_batch its batch. */
static char *
version_time(const EtlHistoryRun *run, const char *row)
{
	const char *time = etl_history_time(run->plan);

	return time == NULL ? run->moment : psprintf("%s.%s%s", row, time, etl_history_cast(run->plan));
}

static char *
version_batch(const EtlHistoryRun *run, const char *row)
{
	return run->stage->columns.n > run->plan->columns.n ? psprintf("coalesce(%s._etl_batch, 0)", row)
														: "0::pg_catalog.int8";
}

/* with_old joins the row of the target that begins at the same time, whose surrogate the version keeps. */
static char *
with_old(const EtlHistoryRun *run, const char *time)
{
	return psprintf(" LEFT JOIN %s AS o ON o._etl_k = k._etl_k AND o." ETL_VALID_FROM " = %s", run->table.old, time);
}

/* append_versions appends the versions that have come. */
static void
append_versions(StringInfo sql, const EtlHistoryRun *run)
{
	char *time = version_time(run, "v");

	append_point(sql, run->plan, "k", "v");
	append_facts(sql, time, 'v', "false", version_batch(run, "v"), "o._etl_s");
	appendStringInfo(sql, "FROM %s AS v JOIN %s AS k ON %s%s", run->table.versions, run->table.keys,
					 etl_history_same_key(run->plan, "v.", "k."), with_old(run, time));
}

/* stays says which rows of the target are points: in a rebuild only those of keys without versions. */
static const char *
stays(const EtlHistoryRun *run)
{
	return run->is_rebuild ? "NOT o._etl_v" : psprintf("NOT (o._etl_v AND %s)", head_condition(run, "o"));
}

/* append_old appends where the rows of the target begin. */
static void
append_old(StringInfo sql, const EtlHistoryRun *run)
{
	appendStringInfoString(sql, "\nUNION ALL\n");
	append_point(sql, run->plan, "o", "o");
	append_facts(sql, "o." ETL_VALID_FROM, 'v', "true", "0", "o._etl_s");
	appendStringInfo(sql, "FROM %s AS o WHERE %s", run->table.old, stays(run));
}

/* append_heads appends the first version of keys with an inferred row, in its place. */
static void
append_heads(StringInfo sql, const EtlHistoryRun *run)
{
	const char *time = etl_history_time(run->plan);

	appendStringInfoString(sql, "\nUNION ALL\n");
	append_point(sql, run->plan, "o", "f");
	append_facts(sql, psprintf("LEAST(%s, o." ETL_VALID_FROM ")", version_time(run, "f")), 'v', "false",
				 version_batch(run, "f"), "o._etl_s");
	appendStringInfo(sql,
					 "FROM %s AS o CROSS JOIN LATERAL (SELECT v.* FROM %s AS v WHERE %s%s%s LIMIT 1) AS f WHERE %s",
					 run->table.old, run->table.versions, etl_history_same_key(run->plan, "v.", "o."),
					 time ? " ORDER BY v." : "", time ? time : "", head_condition(run, "o"));
}

/* append_known appends when rows that begin at -infinity became known. */
static void
append_known(StringInfo sql, const EtlHistoryRun *run)
{
	const char *time = etl_history_time(run->plan);

	if (time == NULL || run->is_rebuild)
		return;
	appendStringInfoString(sql, "\nUNION ALL\n");
	append_point(sql, run->plan, "o", "o");
	append_facts(sql, version_time(run, "o"), 'v', "true", "0", "NULL");
	appendStringInfo(sql,
					 "FROM %s AS o WHERE o." ETL_VALID_FROM " = '-infinity' AND NOT o." ETL_IS_INFERRED
					 " AND o.%s > '-infinity' AND o.%s%s < o." ETL_VALID_TO,
					 run->table.old, time, time, etl_history_cast(run->plan));
}

/* append_gaps appends where keys have ended in the target. */
static void
append_gaps(StringInfo sql, const EtlHistoryRun *run)
{
	appendStringInfoString(sql, "\nUNION ALL\n");
	append_point(sql, run->plan, "o", NULL);
	append_facts(sql, "o." ETL_VALID_TO, 'd', "true", "0", "NULL");
	appendStringInfo(sql,
					 "FROM %s AS o WHERE o." ETL_VALID_TO " <> 'infinity' AND NOT EXISTS (SELECT 1 FROM %s AS n WHERE"
					 " n._etl_k = o._etl_k AND n." ETL_VALID_FROM " = o." ETL_VALID_TO ")%s",
					 run->table.old, run->table.old, run->is_rebuild ? " AND NOT o._etl_v" : "");
}

/* loaded_time returns when the batch in l was loaded, as a time of a version. */
static char *
loaded_time(const EtlHistoryRun *run)
{
	return psprintf("l._etl_loaded_at%s", etl_history_cast(run->plan));
}

/* marker_time returns the time at which marker g ends key k. */
static char *
marker_time(const EtlHistoryRun *run)
{
	char *noticed = psprintf("GREATEST(%s, g._etl_time)", loaded_time(run));

	if (run->is_compared)
		return noticed;
	return psprintf("CASE WHEN g._etl_time IS NULL OR EXISTS (SELECT 1 FROM %s AS v WHERE %s AND %s = g._etl_time)"
					" OR EXISTS (SELECT 1 FROM %s AS o WHERE o._etl_k = k._etl_k AND o." ETL_VALID_FROM
					" = g._etl_time) THEN %s ELSE g._etl_time END",
					run->table.versions, etl_history_same_key(run->plan, "v.", "g."), version_time(run, "v"),
					run->table.old, noticed);
}

/* append_markers appends where delete markers end a key. */
static void
append_markers(StringInfo sql, const EtlHistoryRun *run)
{
	bool is_timed = etl_history_time(run->plan) != NULL;

	if (!run->has_gone)
		return;
	appendStringInfoString(sql, "\nUNION ALL\n");
	append_point(sql, run->plan, "k", NULL);
	append_facts(sql, is_timed ? marker_time(run) : run->moment, 'd', "false", "g._etl_batch", "NULL");
	appendStringInfo(sql, "FROM %s AS g JOIN %s AS k ON %s", run->table.gone, run->table.keys,
					 etl_history_same_key(run->plan, "g.", "k."));
	if (is_timed)
		appendStringInfo(sql, " JOIN %s AS l ON l._etl_batch = g._etl_batch", run->table.loaded);
}

/* points_query returns the query that collects the points. */
static char *
points_query(const EtlHistoryRun *run)
{
	StringInfoData sql;

	initStringInfo(&sql);
	append_versions(&sql, run);
	append_old(&sql, run);
	append_heads(&sql, run);
	append_known(&sql, run);
	append_gaps(&sql, run);
	append_markers(&sql, run);
	return sql.data;
}

/* etl_history_points_statement returns the statement that keeps the points in a table, to which others can be added. */
char *
etl_history_points_statement(const EtlHistoryRun *run)
{
	return psprintf("CREATE TEMPORARY TABLE %s ON COMMIT DROP AS\n%s", run->table.points, points_query(run));
}

/*
 * etl_history_reopen_statement returns the statement that adds when keys came back: versions that were loaded after the
 * key had ended, where the last point before that is the end.
 */
char *
etl_history_reopen_statement(const EtlHistoryRun *run)
{
	char *loaded = loaded_time(run);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s\n", run->table.points);
	append_point(&sql, run->plan, "k", "v");
	append_facts(&sql, loaded, 'v', "false", "v._etl_batch", "o._etl_s");
	appendStringInfo(
		&sql,
		"FROM %s AS v JOIN %s AS k ON %s JOIN %s AS l ON l._etl_batch = v._etl_batch%s\nWHERE %s <= %s AND"
		" EXISTS (SELECT 1 FROM %s AS p WHERE p._etl_k = k._etl_k AND p._etl_kind = 'd' AND p._etl_t <= %s)\n"
		"  AND (SELECT p._etl_kind FROM %s AS p WHERE p._etl_k = k._etl_k AND (p._etl_t < %s OR p._etl_t = %s"
		" AND (p._etl_is_old OR p._etl_batch < v._etl_batch))"
		" ORDER BY p._etl_t DESC, p._etl_is_old, p._etl_batch DESC, p._etl_kind LIMIT 1) = 'd'",
		run->table.versions, run->table.keys, etl_history_same_key(run->plan, "v.", "k."), run->table.loaded,
		with_old(run, loaded), version_time(run, "v"), loaded, run->table.points, loaded, run->table.points, loaded,
		loaded);
	return sql.data;
}

/* append_tracked_differ appends the condition that a point differs from the one before it. */
static void
append_tracked_differ(StringInfo sql, const EtlPlan *plan)
{
	for (int i = 0; i < plan->columns.n; i++)
	{
		char *value;

		if (!plan->history->is_tracked[i])
			continue;
		value = etl_text_comparable(&plan->columns.column[i], "p.");
		appendStringInfo(sql, "\n    OR pg_catalog.lag(%s) OVER w IS DISTINCT FROM %s", value, value);
	}
}

/* append_latest appends the WITH query for the columns that all versions of a key share: those of the latest. */
static void
append_latest(StringInfo sql, const EtlPlan *plan)
{
	if (plan->history->n_type1 == 0)
		return;
	appendStringInfoString(sql, ", latest AS (\n  SELECT DISTINCT ON (p._etl_k) p._etl_k");
	for (int i = 0; i < plan->columns.n; i++)
		if (plan->history->is_type1[i])
			appendStringInfo(sql, ", p.%s", plan->columns.column[i].quoted);
	appendStringInfoString(sql, "\n  FROM points AS p WHERE p._etl_kind = 'v' ORDER BY p._etl_k, p._etl_t DESC,"
								" p._etl_is_old, p._etl_batch DESC\n)");
}

/*
 * append_intervals appends the WITH queries that turn points into intervals. All of them go through the points in one
 * order, so that they are sorted once. Points that are part of an interval stay in kept only while they have a surrogate,
 * which an interval takes whose first point has none.
 */
static void
append_intervals(StringInfo sql, const EtlHistoryRun *run)
{
	const char *window = "WINDOW w AS (PARTITION BY p._etl_k ORDER BY p._etl_t)";

	appendStringInfo(sql, "WITH points AS (\n%s", run->has_points ? "SELECT * FROM " : "");
	appendStringInfo(sql, "%s\n), ordered AS (\n", run->has_points ? run->table.points : points_query(run));
	appendStringInfoString(sql,
						   "  SELECT DISTINCT ON (p._etl_k, p._etl_t) p.* FROM points AS p\n"
						   "  ORDER BY p._etl_k, p._etl_t, p._etl_is_old, p._etl_batch DESC, p._etl_kind, p._etl_s\n"
						   "), marked AS (\n  SELECT p.*, pg_catalog.lag(p._etl_kind) OVER w AS _etl_prev,"
						   " p._etl_kind = 'v' AND (pg_catalog.lag(p._etl_kind) OVER w IS DISTINCT FROM 'v'");
	append_tracked_differ(sql, run->plan);
	appendStringInfo(sql,
					 ") AS _etl_is_start\n  FROM ordered AS p %s\n), kept AS (\n"
					 "  SELECT p.*, coalesce(p._etl_s, CASE WHEN pg_catalog.lead(p._etl_kind) OVER w = 'v' AND NOT"
					 " pg_catalog.lead(p._etl_is_start) OVER w THEN pg_catalog.lead(p._etl_s) OVER w END) AS _etl_id\n"
					 "  FROM marked AS p WHERE p._etl_is_start OR p._etl_kind = 'v' AND p._etl_s IS NOT NULL"
					 " OR p._etl_kind = 'd' AND p._etl_prev = 'v' %s\n), intervals AS (\n"
					 "  SELECT p.*, coalesce(pg_catalog.lead(p._etl_t) OVER w, 'infinity') AS _etl_until\n"
					 "  FROM kept AS p WHERE p._etl_is_start OR p._etl_kind = 'd' %s\n)",
					 window, window, window);
	append_latest(sql, run->plan);
}

/* append_values_differ appends the condition that columns differ between the row o of the target and what it should be. */
static void
append_values_differ(StringInfo sql, const EtlPlan *plan, bool is_type1)
{
	const bool *wanted = is_type1 ? plan->history->is_type1 : plan->history->is_tracked;
	const char *separator = "";

	appendStringInfoChar(sql, '(');
	for (int i = 0; i < plan->columns.n; i++)
		if (wanted[i])
		{
			const EtlColumn *column = &plan->columns.column[i];

			appendStringInfo(sql, "%s%s IS DISTINCT FROM %s", separator, etl_text_comparable(column, "o."),
							 etl_text_comparable(column, is_type1 ? "l." : "p."));
			separator = " OR ";
		}
	appendStringInfoString(sql, *separator == '\0' ? "false)" : ")");
}

/* etl_history_changes_statement returns the statement that finds what to write. */
char *
etl_history_changes_statement(const EtlHistoryRun *run)
{
	const EtlPlan *plan = run->plan;
	const EtlHistory *history = plan->history;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s ON COMMIT DROP AS\n", run->table.changes);
	append_intervals(&sql, run);
	appendStringInfoString(&sql,
						   "\nSELECT CASE WHEN p._etl_k IS NULL THEN 'D' WHEN o._etl_k IS NULL THEN 'I' ELSE 'U'"
						   " END::pg_catalog.\"char\" AS _etl_op, coalesce(p._etl_k, o._etl_k) AS _etl_k, o._etl_s");
	for (int i = 0; i < plan->columns.n; i++)
		appendStringInfo(&sql, ", %s.%s", history->is_type1[i] ? "l" : "p", plan->columns.column[i].quoted);
	appendStringInfoString(&sql, ", p._etl_t AS _etl_from, p._etl_until AS _etl_to, o." ETL_VALID_FROM
								 " AS _etl_old_from, o." ETL_VALID_TO
								 " AS _etl_old_to, coalesce(p._etl_is_old AND o." ETL_IS_INFERRED
								 ", false) AS _etl_inferred, NOT p._etl_is_old AS _etl_is_new,\n  o._etl_k IS"
								 " NOT NULL AND p._etl_k IS NOT NULL AND ");
	append_values_differ(&sql, plan, true);
	appendStringInfo(&sql,
					 " AS _etl_is_type1\nFROM (SELECT * FROM intervals WHERE _etl_kind = 'v') AS p FULL JOIN %s AS o ON"
					 " o._etl_s = p._etl_id",
					 run->table.old);
	if (history->n_type1 > 0)
		appendStringInfoString(&sql, " LEFT JOIN latest AS l ON l._etl_k = p._etl_k");
	appendStringInfoString(&sql, "\nWHERE p._etl_k IS NULL OR o._etl_k IS NULL OR o." ETL_VALID_FROM
								 " <> p._etl_t OR o." ETL_VALID_TO " <> p._etl_until OR o." ETL_IS_CURRENT
								 " IS DISTINCT FROM (p._etl_until = 'infinity') OR o." ETL_IS_INFERRED
								 " AND NOT p._etl_is_old\n  OR ");
	append_values_differ(&sql, plan, false);
	if (history->n_type1 > 0)
	{
		appendStringInfoString(&sql, " OR ");
		append_values_differ(&sql, plan, true);
	}
	return sql.data;
}

/* range returns the condition for some keys. */
static char *
range(int64 low, int64 high)
{
	return psprintf("c._etl_k >= " INT64_FORMAT " AND c._etl_k <= " INT64_FORMAT, low, high);
}

/* etl_history_delete_statement deletes rows of which nothing is left. */
char *
etl_history_delete_statement(const EtlHistoryRun *run, int64 low, int64 high)
{
	return psprintf("DELETE FROM %s AS t\nUSING %s AS c\nWHERE t.%s = c._etl_s AND c._etl_op = 'D' AND %s",
					run->plan->target_name, run->table.changes, run->plan->surrogate, range(low, high));
}

/*
 * etl_history_update_statement updates rows, which may become shorter but not longer: then rows do not overlap at any
 * moment, in whatever order they are updated.
 */
char *
etl_history_update_statement(const EtlHistoryRun *run, int64 low, int64 high)
{
	const EtlPlan *plan = run->plan;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "UPDATE %s AS t\nSET " ETL_VALID_TO " = LEAST(c._etl_to, c._etl_old_to), " ETL_IS_CURRENT
					 " = (LEAST(c._etl_to, c._etl_old_to) = 'infinity'), " ETL_IS_INFERRED " = c._etl_inferred",
					 plan->target_name);
	for (int i = 0; i < plan->columns.n; i++)
		if (!plan->columns.column[i].is_key)
			appendStringInfo(&sql, ", %s = c.%s", plan->columns.column[i].quoted, plan->columns.column[i].quoted);
	appendStringInfo(&sql, "\nFROM %s AS c\nWHERE t.%s = c._etl_s AND c._etl_op = 'U' AND %s", run->table.changes,
					 plan->surrogate, range(low, high));
	return sql.data;
}

/* etl_history_grow_statement lets rows become longer. */
char *
etl_history_grow_statement(const EtlHistoryRun *run, int64 low, int64 high)
{
	return psprintf("UPDATE %s AS t\nSET " ETL_VALID_FROM " = c._etl_from, " ETL_VALID_TO
					" = c._etl_to, " ETL_IS_CURRENT
					" = (c._etl_to = 'infinity')\nFROM %s AS c\nWHERE t.%s = c._etl_s AND c._etl_op = 'U' AND"
					" (c._etl_from < c._etl_old_from OR c._etl_to > c._etl_old_to) AND %s",
					run->plan->target_name, run->table.changes, run->plan->surrogate, range(low, high));
}

/* etl_history_insert_statement inserts new versions, in the order of key and time. */
char *
etl_history_insert_statement(const EtlHistoryRun *run, int64 low, int64 high)
{
	const EtlPlan *plan = run->plan;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", plan->target_name);
	etl_text_columns(&sql, plan, "");
	appendStringInfoString(&sql,
						   ", " ETL_VALID_FROM ", " ETL_VALID_TO ", " ETL_IS_CURRENT ", " ETL_IS_INFERRED ")\nSELECT ");
	etl_text_columns(&sql, plan, "c.");
	appendStringInfo(
		&sql,
		", c._etl_from, c._etl_to, c._etl_to = 'infinity', false\nFROM %s AS c\nWHERE c._etl_op = 'I' AND %s\n"
		"ORDER BY c._etl_k, c._etl_from",
		run->table.changes, range(low, high));
	return sql.data;
}
