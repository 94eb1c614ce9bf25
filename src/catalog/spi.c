/*
 * spi.c
 *		The one layer through which etl_ext executes SQL. See spi.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "commands/extension.h"
#include "compat.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* pipeline_relation returns the Oid of etl.pipeline, or InvalidOid when the extension is not there. */
static Oid
pipeline_relation(void)
{
	Oid schema = get_namespace_oid("etl", true);

	return OidIsValid(schema) ? get_relname_relid("pipeline", schema) : InvalidOid;
}

/*
 * etl_catalog_exists says whether the extension is installed in this database (it may have been dropped meanwhile). A
 * schema of that name alone may be anybody's.
 */
bool
etl_catalog_exists(void)
{
	return OidIsValid(get_extension_oid("etl_ext", true)) && OidIsValid(pipeline_relation());
}

/* etl_catalog_owner returns the role that owns the extension's tables. Errors: 55000 when they are not there. */
Oid
etl_catalog_owner(void)
{
	Oid relation = pipeline_relation();
	HeapTuple tuple = OidIsValid(relation) ? SearchSysCache1(RELOID, ObjectIdGetDatum(relation)) : NULL;
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("extension etl_ext is not installed in this database"),
						errhint("Run CREATE EXTENSION etl_ext.")));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* The role that was current when the innermost scope began that is not nested in another one. */
static Oid catalog_caller = InvalidOid;

/* in_scope says whether what is executed now is a catalog statement, such as a trigger sees it. */
static bool
in_scope(void)
{
	int sec_context;
	Oid user;

	GetUserIdAndSecContext(&user, &sec_context);
	return OidIsValid(catalog_caller) && (sec_context & SECURITY_LOCAL_USERID_CHANGE) != 0 &&
		   user == etl_catalog_owner();
}

/* etl_catalog_caller returns the role that had a catalog statement executed; outside of one: that is current. */
Oid
etl_catalog_caller(void)
{
	return in_scope() ? catalog_caller : GetUserId();
}

/* etl_catalog_begin connects to SPI and takes the rights of the extension's owner until etl_catalog_end. */
void
etl_catalog_begin(EtlScope *scope)
{
	Oid owner = etl_catalog_owner();

	scope->caller = CurrentMemoryContext;
	scope->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	GetUserIdAndSecContext(&scope->user, &scope->sec_context);
	scope->outer_caller = catalog_caller;
	catalog_caller = etl_catalog_caller();
	SetUserIdAndSecContext(owner, scope->sec_context | SECURITY_LOCAL_USERID_CHANGE);
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/* etl_catalog_end gives back what etl_catalog_begin took. */
void
etl_catalog_end(EtlScope *scope)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	SetUserIdAndSecContext(scope->user, scope->sec_context);
	catalog_caller = scope->outer_caller;
	AtEOXact_GUC(true, scope->guc_level);
	MemoryContextSwitchTo(scope->caller);
}

/*
 * etl_catalog_exec executes a statement between begin and end and returns the number of rows it returned or wrote.
 * expected is an SPI_OK_* code. Rows are read by etl_catalog_row until the next call.
 */
uint64
etl_catalog_exec(EtlStatement *statement, const Datum *value, const char *null, int expected)
{
	int rc;

	if (statement->plan == NULL)
	{
		SPIPlanPtr plan = SPI_prepare(statement->sql, statement->nargs, statement->argtype);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(plan);
		statement->plan = plan;
	}
	rc = SPI_execute_plan(statement->plan, (Datum *) value, null, false, 0);
	if (rc != expected)
		elog(ERROR, "catalog statement returned %s instead of %s: %s", SPI_result_code_string(rc),
			 SPI_result_code_string(expected), statement->sql);
	return SPI_processed;
}

/* etl_catalog_call is begin, exec and end in one, for statements whose rows nobody reads. */
uint64
etl_catalog_call(EtlStatement *statement, const Datum *value, const char *null, int expected)
{
	EtlScope scope;
	uint64 n;

	etl_catalog_begin(&scope);
	n = etl_catalog_exec(statement, value, null, expected);
	etl_catalog_end(&scope);
	return n;
}

/* etl_catalog_row returns row n (from 0) of the last result. */
EtlRow
etl_catalog_row(const EtlScope *scope, uint64 n)
{
	EtlRow row;

	Assert(SPI_tuptable != NULL && n < SPI_processed);
	row.tuple = SPI_tuptable->vals[n];
	row.desc = SPI_tuptable->tupdesc;
	row.context = scope->caller;
	return row;
}

/* etl_row_datum returns a column as it stands in the row: valid until the next statement. */
Datum
etl_row_datum(const EtlRow *row, const char *column, bool *isnull)
{
	int n = SPI_fnumber(row->desc, column);

	if (n == SPI_ERROR_NOATTRIBUTE)
		elog(ERROR, "result has no column \"%s\"", column);
	return SPI_getbinval(row->tuple, row->desc, n, isnull);
}

/* etl_row_isnull says whether a column is NULL. */
bool
etl_row_isnull(const EtlRow *row, const char *column)
{
	bool isnull;

	(void) etl_row_datum(row, column, &isnull);
	return isnull;
}

/* etl_row_text returns a column of any type as text, or NULL. */
char *
etl_row_text(const EtlRow *row, const char *column)
{
	int n = SPI_fnumber(row->desc, column);
	char *value;

	if (n == SPI_ERROR_NOATTRIBUTE)
		elog(ERROR, "result has no column \"%s\"", column);
	value = SPI_getvalue(row->tuple, row->desc, n);
	return value ? MemoryContextStrdup(row->context, value) : NULL;
}

/* etl_row_int64 returns a bigint column; NULL is 0. */
int64
etl_row_int64(const EtlRow *row, const char *column)
{
	bool isnull;
	Datum value = etl_row_datum(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/* etl_row_int32 returns an integer column; NULL is 0. */
int
etl_row_int32(const EtlRow *row, const char *column)
{
	bool isnull;
	Datum value = etl_row_datum(row, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

/* etl_row_double returns a float8 column; NULL is 0. */
double
etl_row_double(const EtlRow *row, const char *column)
{
	bool isnull;
	Datum value = etl_row_datum(row, column, &isnull);

	return isnull ? 0 : DatumGetFloat8(value);
}

/* etl_row_bool returns a boolean column; NULL is false. */
bool
etl_row_bool(const EtlRow *row, const char *column)
{
	bool isnull;
	Datum value = etl_row_datum(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

/* etl_row_oid returns an oid or reg* column; NULL is InvalidOid. */
Oid
etl_row_oid(const EtlRow *row, const char *column)
{
	bool isnull;
	Datum value = etl_row_datum(row, column, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

/* etl_row_time returns a timestamptz column; NULL is DT_NOBEGIN. */
TimestampTz
etl_row_time(const EtlRow *row, const char *column)
{
	bool isnull;
	Datum value = etl_row_datum(row, column, &isnull);

	return isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
}

/* etl_row_interval returns a copy of an interval column, or NULL. */
Interval *
etl_row_interval(const EtlRow *row, const char *column)
{
	bool isnull;
	Datum value = etl_row_datum(row, column, &isnull);
	Interval *copy;

	if (isnull)
		return NULL;
	copy = MemoryContextAlloc(row->context, sizeof(Interval));
	*copy = *DatumGetIntervalP(value);
	return copy;
}

/* etl_row_jsonb returns a copy of a jsonb column, or NULL. */
Jsonb *
etl_row_jsonb(const EtlRow *row, const char *column)
{
	bool isnull;
	Datum value = etl_row_datum(row, column, &isnull);
	MemoryContext old;
	Jsonb *copy;

	if (isnull)
		return NULL;
	old = MemoryContextSwitchTo(row->context);
	copy = DatumGetJsonbPCopy(value);
	MemoryContextSwitchTo(old);
	return copy;
}

/* etl_row_names returns a text[] column; NULL and '{}' are both empty. */
EtlNames
etl_row_names(const EtlRow *row, const char *column)
{
	EtlNames names = {0, NULL};
	bool isnull;
	Datum value = etl_row_datum(row, column, &isnull);
	MemoryContext old;
	Datum *element;
	bool *null;

	if (isnull)
		return names;
	old = MemoryContextSwitchTo(row->context);
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &element, &null, &names.n);
	names.name = palloc(sizeof(char *) * Max(names.n, 1));
	for (int i = 0; i < names.n; i++)
		names.name[i] = null[i] ? pstrdup("") : TextDatumGetCString(element[i]);
	MemoryContextSwitchTo(old);
	return names;
}

/* etl_sql_exec executes generated or user SQL as the current user and returns the number of rows. */
uint64
etl_sql_exec(const char *sql, int expected)
{
	MemoryContext caller = CurrentMemoryContext;
	uint64 n;
	int rc;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	rc = SPI_execute(sql, false, 0);
	if (rc != expected)
		elog(ERROR, "statement returned %s instead of %s: %s", SPI_result_code_string(rc),
			 SPI_result_code_string(expected), sql);
	n = SPI_processed;
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	MemoryContextSwitchTo(caller);
	return n;
}

/* etl_sql_text returns the first column of the first row of a query as text, or NULL. */
char *
etl_sql_text(const char *sql)
{
	MemoryContext caller = CurrentMemoryContext;
	char *result = NULL;
	int rc;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	rc = SPI_execute(sql, false, 1);
	if (rc != SPI_OK_SELECT && rc != SPI_OK_UTILITY)
		elog(ERROR, "statement returned %s: %s", SPI_result_code_string(rc), sql);
	if (SPI_processed > 0 && SPI_tuptable != NULL)
	{
		result = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		if (result)
			result = MemoryContextStrdup(caller, result);
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	MemoryContextSwitchTo(caller);
	return result;
}

/* etl_sql_int64 reads a single bigint; false when there is no row or it is NULL. */
bool
etl_sql_int64(const char *sql, int64 *result)
{
	char *text = etl_sql_text(sql);

	if (text == NULL)
		return false;
	*result = DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(text)));
	pfree(text);
	return true;
}

/* etl_arg_text makes a text argument; NULL stays NULL. */
Datum
etl_arg_text(const char *value, char *null)
{
	*null = value ? ' ' : 'n';
	return value ? CStringGetTextDatum(value) : (Datum) 0;
}

/* etl_arg_names makes a text[] argument; an empty list whose name is NULL is NULL. */
Datum
etl_arg_names(const EtlNames *names, char *null)
{
	Datum *element;

	*null = names->name ? ' ' : 'n';
	if (names->name == NULL)
		return (Datum) 0;
	element = palloc(sizeof(Datum) * Max(names->n, 1));
	for (int i = 0; i < names->n; i++)
		element[i] = CStringGetTextDatum(names->name[i]);
	return PointerGetDatum(construct_array(element, names->n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* etl_arg_pointer makes an argument of a type passed by reference; NULL stays NULL. */
Datum
etl_arg_pointer(const void *value, char *null)
{
	*null = value ? ' ' : 'n';
	return PointerGetDatum(value);
}
