/*
 * price.c
 *		The table etl.price. See price.h.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "catalog/price.h"
#include "utils/builtins.h"

/* etl_price_currency returns the currency, which all prices share. */
char *
etl_price_currency(void)
{
	static EtlStatement get = {"SELECT max(currency) AS currency FROM etl.price", 0, {0}};
	EtlScope scope;
	EtlRow row;
	char *currency;

	etl_catalog_begin(&scope);
	etl_catalog_exec(&get, NULL, NULL, SPI_OK_SELECT);
	row = etl_catalog_row(&scope, 0);
	currency = etl_row_text(&row, "currency");
	etl_catalog_end(&scope);
	return currency;
}

/* etl_price_set stores a price. */
void
etl_price_set(const char *resource, DateADT valid_from, Numeric price, const char *currency)
{
	static EtlStatement set = {"INSERT INTO etl.price (resource, valid_from, price, currency) VALUES ($1, $2, $3, $4) "
							   "ON CONFLICT (resource, valid_from) DO UPDATE SET price = $3, currency = $4",
							   4,
							   {TEXTOID, DATEOID, NUMERICOID, TEXTOID}};
	Datum value[4] = {CStringGetTextDatum(resource), DateADTGetDatum(valid_from), NumericGetDatum(price),
					  CStringGetTextDatum(currency)};

	etl_catalog_call(&set, value, NULL, SPI_OK_INSERT);
}

/* etl_price_delete removes a price. */
bool
etl_price_delete(const char *resource, DateADT valid_from)
{
	static EtlStatement delete = {
		"DELETE FROM etl.price WHERE resource = $1 AND valid_from = $2", 2, {TEXTOID, DATEOID}};
	Datum value[2] = {CStringGetTextDatum(resource), DateADTGetDatum(valid_from)};

	return etl_catalog_call(&delete, value, NULL, SPI_OK_DELETE) > 0;
}
