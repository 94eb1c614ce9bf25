/* contract.h: the tables etl.contract and etl.contract_progress. */
#ifndef ETL_CATALOG_CONTRACT_H
#define ETL_CATALOG_CONTRACT_H

#include "catalog/spi.h"

typedef struct EtlContract
{
	int64 contract_id; /* 0: not stored yet */
	char *source;
	Oid owner; /* InvalidOid: the role is gone */
	char *owner_name;
	char *team;
	char *contact;
	char *description;
	Jsonb *tags;
	char *arrival; /* time of day or cron expression */
	char *timezone;
	Interval *freshness;
	int64 min_rows; /* -1: no promise */
	int64 max_rows; /* -1: no promise */
	char *max_change_pct;
	bool per_day;
	char *volume_per;
	Jsonb *columns;
	bool extra_columns;
	char *severity;
	bool enabled;

	/* What the tables know beside the contract. */
	bool is_read; /* some extract that runs reads the source */
	bool is_begun;
	TimestampTz arrival_until;
	TimestampTz day_until;
	TimestampTz newest_at;
} EtlContract;

/* A column that was promised. */
typedef struct EtlPromisedColumn
{
	char *name;
	char *type; /* NULL: any */
	bool not_null;
} EtlPromisedColumn;

/* Makes the struct from a definition: an object with the columns of etl.contract. */
extern EtlContract *etl_contract_parse(Jsonb *definition);

/* The row as an object; NULL: there is none. */
extern Jsonb *etl_contract_definition(const char *source);

/* The contract of a source, or NULL; lock keeps others from looking at it until the end of the transaction. */
extern EtlContract *etl_contract_find(const char *source, bool lock);

/* The contracts that are due in this database, by number; each is read when it is its turn. */
extern int etl_contract_due(TimestampTz now, int64 **contract_id);

/* A contract by its number, locked; NULL: it is gone, or wait is false and somebody else has it. */
extern EtlContract *etl_contract_take(int64 contract_id, bool wait);

/* When the first one is due; DT_NOEND: never. */
extern TimestampTz etl_contract_next(void);

/* Stores all settings, as a new row if contract_id is 0; returns its number. */
extern int64 etl_contract_store(const EtlContract *contract);
extern void etl_contract_delete(int64 contract_id);

/* Stores how far it was looked at, as the struct says. */
extern void etl_contract_progress(const EtlContract *contract, TimestampTz next_due_at);

/* The columns that it promises. Of a definition that was not checked: kind is what each value is. */
extern int etl_contract_columns(Jsonb *columns, EtlPromisedColumn **column);

/* Says whether a role owns a pipeline with an extract of the source, or is a member of its owner. */
extern bool etl_contract_reader(const char *source, Oid role);

#endif /* ETL_CATALOG_CONTRACT_H */
