/*
 * spi.h
 *		The one layer through which etl_ext executes SQL.
 *
 * Catalog statements (etl_catalog_*) run as the owner of the extension with a pinned search_path, are prepared once per
 * session and say which SPI result they expect. Generated and user SQL (etl_sql_*) runs as the current user with the
 * current search_path. Every return code is checked here.
 */
#ifndef ETL_SPI_H
#define ETL_SPI_H

#include "etl_ext.h"
#include "executor/spi.h"

#define ETL_MAX_ARGS 88

/* A prepared catalog statement: declare it static, with sql, nargs and argtype filled in. */
typedef struct EtlStatement
{
	const char *sql;
	int nargs;
	Oid argtype[ETL_MAX_ARGS];
	SPIPlanPtr plan; /* NULL until first used */
} EtlStatement;

/* What etl_catalog_begin changed and etl_catalog_end puts back; an error in between is undone by the abort. */
typedef struct EtlScope
{
	MemoryContext caller;
	Oid user;
	Oid outer_caller;
	int sec_context;
	int guc_level;
} EtlScope;

/* A row of the last result. Getters copy into the context that was current at etl_catalog_begin. */
typedef struct EtlRow
{
	HeapTuple tuple;
	TupleDesc desc;
	MemoryContext context;
} EtlRow;

extern Oid etl_catalog_owner(void);
extern bool etl_catalog_exists(void);

/* The role on whose behalf a catalog statement is executed, in a trigger of it; else the current one. */
extern Oid etl_catalog_caller(void);

extern void etl_catalog_begin(EtlScope *scope);
extern void etl_catalog_end(EtlScope *scope);
extern uint64 etl_catalog_exec(EtlStatement *statement, const Datum *value, const char *null, int expected);
extern uint64 etl_catalog_call(EtlStatement *statement, const Datum *value, const char *null, int expected);
extern EtlRow etl_catalog_row(const EtlScope *scope, uint64 n);

extern Datum etl_row_datum(const EtlRow *row, const char *column, bool *isnull);
extern char *etl_row_text(const EtlRow *row, const char *column);
extern int64 etl_row_int64(const EtlRow *row, const char *column);
extern int etl_row_int32(const EtlRow *row, const char *column);
extern double etl_row_double(const EtlRow *row, const char *column);
extern bool etl_row_bool(const EtlRow *row, const char *column);
extern Oid etl_row_oid(const EtlRow *row, const char *column);
extern TimestampTz etl_row_time(const EtlRow *row, const char *column);
extern Interval *etl_row_interval(const EtlRow *row, const char *column);
extern Jsonb *etl_row_jsonb(const EtlRow *row, const char *column);
extern EtlNames etl_row_names(const EtlRow *row, const char *column);
extern bool etl_row_isnull(const EtlRow *row, const char *column);

extern uint64 etl_sql_exec(const char *sql, int expected);
extern bool etl_sql_int64(const char *sql, int64 *result);
extern char *etl_sql_text(const char *sql);

/* Values for statement arguments: nulls as ' ' and 'n'. */
extern Datum etl_arg_text(const char *value, char *null);
extern Datum etl_arg_names(const EtlNames *names, char *null);
extern Datum etl_arg_pointer(const void *value, char *null);

#endif /* ETL_SPI_H */
