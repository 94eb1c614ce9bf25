/*
 * contract.c
 *		The tables etl.contract and etl.contract_progress. See contract.h.
 */
#include "postgres.h"

#include "catalog/contract.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Columns with defaults get them here, so that a definition may leave them out. */
#define CONTRACT_COLUMNS                                                                                               \
	"coalesce(r.contract_id, 0) AS contract_id, r.source, r.owner::oid AS owner, r.owner::text AS owner_name, "        \
	"r.team, r.contact, r.description, coalesce(r.tags, '{}') AS tags, r.arrival, "                                    \
	"coalesce(r.timezone, 'UTC') AS timezone, r.freshness, coalesce(r.min_rows, -1) AS min_rows, "                     \
	"coalesce(r.max_rows, -1) AS max_rows, r.max_change_pct, coalesce(r.volume_per, 'run') AS volume_per, r.columns, " \
	"coalesce(r.extra_columns, true) AS extra_columns, coalesce(r.severity, 'warning') AS severity, "                  \
	"coalesce(r.enabled, true) AS enabled"

/* What is known beside it. */
#define CONTRACT_STATE                                                                                                 \
	", EXISTS (SELECT FROM etl.task AS t JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id "                     \
	"  WHERE t.kind = 'extract' AND t.source = r.source AND t.enabled AND NOT p.paused) AS is_read, "                  \
	"g.contract_id IS NOT NULL AS is_begun, g.arrival_until, g.day_until, g.newest_at "                                \
	"FROM etl.contract AS r LEFT JOIN etl.contract_progress AS g ON g.contract_id = r.contract_id "                    \
	"  AND g.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()) "

/* read_contract makes the struct from a row of CONTRACT_COLUMNS. */
static EtlContract *
read_contract(const EtlRow *row)
{
	EtlContract *contract = MemoryContextAllocZero(row->context, sizeof(EtlContract));

	contract->contract_id = etl_row_int64(row, "contract_id");
	contract->source = etl_row_text(row, "source");
	contract->owner = etl_row_oid(row, "owner");
	contract->owner_name = etl_row_text(row, "owner_name");
	contract->team = etl_row_text(row, "team");
	contract->contact = etl_row_text(row, "contact");
	contract->description = etl_row_text(row, "description");
	contract->tags = etl_row_jsonb(row, "tags");
	contract->arrival = etl_row_text(row, "arrival");
	contract->timezone = etl_row_text(row, "timezone");
	contract->freshness = etl_row_interval(row, "freshness");
	contract->min_rows = etl_row_int64(row, "min_rows");
	contract->max_rows = etl_row_int64(row, "max_rows");
	contract->max_change_pct = etl_row_text(row, "max_change_pct");
	contract->volume_per = etl_row_text(row, "volume_per");
	contract->per_day = strcmp(contract->volume_per, "day") == 0;
	contract->columns = etl_row_jsonb(row, "columns");
	contract->extra_columns = etl_row_bool(row, "extra_columns");
	contract->severity = etl_row_text(row, "severity");
	contract->enabled = etl_row_bool(row, "enabled");
	return contract;
}

/* read_state adds what is known beside it. */
static EtlContract *
read_state(const EtlRow *row)
{
	EtlContract *contract = read_contract(row);

	contract->is_read = etl_row_bool(row, "is_read");
	contract->is_begun = etl_row_bool(row, "is_begun");
	contract->arrival_until = etl_row_time(row, "arrival_until");
	contract->day_until = etl_row_time(row, "day_until");
	contract->newest_at = etl_row_time(row, "newest_at");
	return contract;
}

/* find_one executes a statement with one argument that returns a contract with its state, or nothing. */
static EtlContract *
find_one(EtlStatement *statement, Datum value)
{
	EtlScope scope;
	EtlContract *contract = NULL;

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(statement, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		contract = read_state(&row);
	}
	etl_catalog_end(&scope);
	return contract;
}

/* etl_contract_parse fills the struct. */
EtlContract *
etl_contract_parse(Jsonb *definition)
{
	static EtlStatement parse = {
		"SELECT " CONTRACT_COLUMNS " FROM jsonb_populate_record(NULL::etl.contract, $1) AS r", 1, {JSONBOID}};
	EtlScope scope;
	EtlContract *contract;
	EtlRow row;
	Datum value = JsonbPGetDatum(definition);

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&parse, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	contract = read_contract(&row);
	etl_catalog_end(&scope);
	return contract;
}

/* etl_contract_definition reads the row. */
Jsonb *
etl_contract_definition(const char *source)
{
	static EtlStatement get = {
		"SELECT to_jsonb(r) AS definition FROM etl.contract AS r WHERE source = $1", 1, {TEXTOID}};
	EtlScope scope;
	Jsonb *definition = NULL;
	Datum value = CStringGetTextDatum(source);

	etl_catalog_begin(&scope);
	if (etl_catalog_exec(&get, &value, NULL, SPI_OK_SELECT) > 0)
	{
		EtlRow row = etl_catalog_row(&scope, 0);

		definition = etl_row_jsonb(&row, "definition");
	}
	etl_catalog_end(&scope);
	return definition;
}

/* etl_contract_find looks for the source. */
EtlContract *
etl_contract_find(const char *source, bool lock)
{
	static EtlStatement find = {"SELECT " CONTRACT_COLUMNS CONTRACT_STATE "WHERE r.source = $1", 1, {TEXTOID}};
	static EtlStatement take = {
		"SELECT " CONTRACT_COLUMNS CONTRACT_STATE "WHERE r.source = $1 FOR NO KEY UPDATE OF r", 1, {TEXTOID}};

	return find_one(lock ? &take : &find, CStringGetTextDatum(source));
}

/* etl_contract_take locks the row. */
EtlContract *
etl_contract_take(int64 contract_id, bool wait)
{
	static EtlStatement take = {
		"SELECT " CONTRACT_COLUMNS CONTRACT_STATE "WHERE r.contract_id = $1 FOR NO KEY UPDATE OF r", 1, {INT8OID}};
	static EtlStatement try = {"SELECT " CONTRACT_COLUMNS CONTRACT_STATE
							   "WHERE r.contract_id = $1 FOR NO KEY UPDATE OF r SKIP LOCKED",
							   1,
							   {INT8OID}};

	return find_one(wait ? &take : &try, Int64GetDatum(contract_id));
}

/* etl_contract_due lists them into the caller's context. */
int
etl_contract_due(TimestampTz now, int64 **contract_id)
{
	static EtlStatement list = {
		"SELECT g.contract_id FROM etl.contract_progress AS g JOIN etl.contract AS c ON c.contract_id = g.contract_id "
		"WHERE g.database = $1 AND g.next_due_at <= $2 AND c.enabled ORDER BY 1",
		2,
		{OIDOID, TIMESTAMPTZOID}};
	Datum value[2] = {ObjectIdGetDatum(MyDatabaseId), TimestampTzGetDatum(now)};
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&list, value, NULL, SPI_OK_SELECT);
	*contract_id = MemoryContextAlloc(scope.caller, sizeof(int64) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*contract_id)[i] = etl_row_int64(&row, "contract_id");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_contract_next looks for the first moment. */
TimestampTz
etl_contract_next(void)
{
	static EtlStatement find = {
		"SELECT coalesce(min(g.next_due_at), 'infinity') AS next FROM etl.contract_progress AS g "
		"JOIN etl.contract AS c ON c.contract_id = g.contract_id WHERE g.database = $1 AND c.enabled",
		1,
		{OIDOID}};
	Datum value = ObjectIdGetDatum(MyDatabaseId);
	TimestampTz next;
	EtlScope scope;
	EtlRow row;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&find, &value, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	next = etl_row_time(&row, "next");
	etl_catalog_end(&scope);
	return next;
}

/* etl_contract_store inserts or updates. */
int64
etl_contract_store(const EtlContract *contract)
{
	static EtlStatement store = {
		"INSERT INTO etl.contract AS c (source, owner, team, contact, description, tags, arrival, timezone, freshness, "
		"min_rows, max_rows, max_change_pct, volume_per, columns, extra_columns, severity, enabled) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, nullif($10, -1), nullif($11, -1), $12::numeric, $13, $14, $15, "
		"$16, "
		"$17) ON CONFLICT (source) DO UPDATE SET owner = $2, team = $3, contact = $4, description = $5, tags = $6, "
		"arrival = $7, timezone = $8, freshness = $9, min_rows = nullif($10, -1), max_rows = nullif($11, -1), "
		"max_change_pct = $12::numeric, volume_per = $13, columns = $14, extra_columns = $15, severity = $16, "
		"enabled = $17, updated_at = now() RETURNING c.contract_id",
		17,
		{TEXTOID, OIDOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, TEXTOID, TEXTOID, INTERVALOID, INT8OID, INT8OID, TEXTOID,
		 TEXTOID, JSONBOID, BOOLOID, TEXTOID, BOOLOID}};
	Datum value[17];
	char null[] = "                 ";
	EtlScope scope;
	EtlRow row;
	int64 contract_id;

	value[0] = CStringGetTextDatum(contract->source);
	value[1] = ObjectIdGetDatum(contract->owner);
	value[2] = etl_arg_text(contract->team, &null[2]);
	value[3] = etl_arg_text(contract->contact, &null[3]);
	value[4] = etl_arg_text(contract->description, &null[4]);
	value[5] = JsonbPGetDatum(contract->tags);
	value[6] = etl_arg_text(contract->arrival, &null[6]);
	value[7] = CStringGetTextDatum(contract->timezone);
	value[8] = etl_arg_pointer(contract->freshness, &null[8]);
	value[9] = Int64GetDatum(contract->min_rows);
	value[10] = Int64GetDatum(contract->max_rows);
	value[11] = etl_arg_text(contract->max_change_pct, &null[11]);
	value[12] = CStringGetTextDatum(contract->volume_per);
	value[13] = etl_arg_pointer(contract->columns, &null[13]);
	value[14] = BoolGetDatum(contract->extra_columns);
	value[15] = CStringGetTextDatum(contract->severity);
	value[16] = BoolGetDatum(contract->enabled);
	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&store, value, null, SPI_OK_INSERT_RETURNING);
	row = etl_catalog_row(&scope, 0);
	contract_id = etl_row_int64(&row, "contract_id");
	etl_catalog_end(&scope);
	return contract_id;
}

/* etl_contract_delete removes it with all that is known of it. */
void
etl_contract_delete(int64 contract_id)
{
	static EtlStatement delete = {"DELETE FROM etl.contract WHERE contract_id = $1", 1, {INT8OID}};
	Datum value = Int64GetDatum(contract_id);

	(void) etl_catalog_call(&delete, &value, NULL, SPI_OK_DELETE);
}

/* etl_contract_progress inserts or updates. */
void
etl_contract_progress(const EtlContract *contract, TimestampTz next_due_at)
{
	static EtlStatement set = {
		"INSERT INTO etl.contract_progress (contract_id, database, arrival_until, day_until, newest_at, next_due_at) "
		"VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (contract_id) DO UPDATE SET database = $2, arrival_until = $3, "
		"day_until = $4, newest_at = $5, next_due_at = $6",
		6,
		{INT8OID, OIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	Datum value[6];
	char null[] = "      ";

	value[0] = Int64GetDatum(contract->contract_id);
	value[1] = ObjectIdGetDatum(MyDatabaseId);
	value[2] = TimestampTzGetDatum(contract->arrival_until);
	value[3] = TimestampTzGetDatum(contract->day_until);
	value[4] = TimestampTzGetDatum(contract->newest_at);
	value[5] = TimestampTzGetDatum(next_due_at);
	null[5] = TIMESTAMP_IS_NOEND(next_due_at) ? 'n' : ' ';
	(void) etl_catalog_call(&set, value, null, SPI_OK_INSERT);
}

/* etl_contract_columns lists them by name. */
int
etl_contract_columns(Jsonb *columns, EtlPromisedColumn **column)
{
	static EtlStatement list = {
		"SELECT key AS name, CASE jsonb_typeof(value) WHEN 'string' THEN value #>> '{}' ELSE value ->> 'type' END AS "
		"type, "
		"coalesce(jsonb_typeof(value) = 'object' AND value -> 'not_null' = 'true', false) AS not_null "
		"FROM jsonb_each($1) ORDER BY key",
		1,
		{JSONBOID}};
	Datum value = JsonbPGetDatum(columns);
	EtlScope scope;
	int n;

	etl_catalog_begin(&scope);
	n = (int) etl_catalog_exec(&list, &value, NULL, SPI_OK_SELECT);
	*column = MemoryContextAlloc(scope.caller, sizeof(EtlPromisedColumn) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		EtlRow row = etl_catalog_row(&scope, i);

		(*column)[i].name = etl_row_text(&row, "name");
		(*column)[i].type = etl_row_text(&row, "type");
		(*column)[i].not_null = etl_row_bool(&row, "not_null");
	}
	etl_catalog_end(&scope);
	return n;
}

/* etl_contract_reader looks at the owners of pipelines. */
bool
etl_contract_reader(const char *source, Oid role)
{
	static EtlStatement find = {"SELECT FROM etl.task AS t JOIN etl.pipeline AS p ON p.pipeline_id = t.pipeline_id "
								"WHERE t.kind = 'extract' AND t.source = $1 AND pg_has_role($2, p.owner::oid, 'USAGE')",
								2,
								{TEXTOID, OIDOID}};
	Datum value[2] = {CStringGetTextDatum(source), ObjectIdGetDatum(role)};

	return etl_catalog_call(&find, value, NULL, SPI_OK_SELECT) > 0;
}
