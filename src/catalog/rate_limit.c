/*
 * rate_limit.c
 *		etl.rate_limit. See rate_limit.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "catalog/rate_limit.h"
#include "catalog/spi.h"
#include "utils/timestamp.h"

/* etl_rate_limit_reserve moves the server's next time; whoever comes later waits for the row, and for his turn. */
TimestampTz
etl_rate_limit_reserve(Oid server, int n, int64 interval)
{
	static EtlStatement statement = {
		"INSERT INTO etl.rate_limit AS r (server_id, next_at)"
		" VALUES ($1, clock_timestamp() + $2 * interval '1 microsecond')"
		" ON CONFLICT (server_id) DO UPDATE SET next_at = greatest(r.next_at, clock_timestamp())"
		" + $2 * interval '1 microsecond'"
		" RETURNING next_at - $2 * interval '1 microsecond' AS first_at",
		2,
		{OIDOID, INT8OID}};
	Datum value[2] = {ObjectIdGetDatum(server), Int64GetDatum(n * interval)};
	EtlScope scope;
	EtlRow row;
	TimestampTz first;

	etl_catalog_begin(&scope);
	(void) etl_catalog_exec(&statement, value, NULL, SPI_OK_INSERT_RETURNING);
	row = etl_catalog_row(&scope, 0);
	first = etl_row_time(&row, "first_at");
	etl_catalog_end(&scope);
	return first;
}
