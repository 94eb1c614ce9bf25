/*
 * undo_columns.h
 *		A target as undo sees it: its columns as text of SQL, without those that are generated.
 */
#ifndef ETL_UNDO_COLUMNS_H
#define ETL_UNDO_COLUMNS_H

#include "etl_ext.h"
#include "lib/stringinfo.h"

typedef struct EtlUndoColumn
{
	const char *name;
	const char *quoted;
	Oid type;	   /* of the target */
	Oid kept_type; /* of a domain its base type: nothing is evaluated when a row is kept */
	int32 kept_typmod;
	Oid collation;
	bool is_identity; /* GENERATED ALWAYS AS IDENTITY */
	bool is_key;
} EtlUndoColumn;

typedef struct EtlUndoColumns
{
	Oid target;
	char *target_name;
	int n;
	EtlUndoColumn *column;
	int n_key; /* 0: rows have no key */
	int *key;  /* places in column */
} EtlUndoColumns;

/* The columns of a target. key: NULL or n = 0: none. Errors: 42703 when it has no such key column. */
extern EtlUndoColumns *etl_undo_columns_read(Oid target, const EtlNames *key);

/* Whether a table etl.undo_<task_id> has been made for these columns. */
extern bool etl_undo_columns_match(const EtlUndoColumns *columns, Oid table);

/* ", name type" for each column, for CREATE TABLE. */
extern char *etl_undo_columns_definitions(const EtlUndoColumns *columns);

/* Appends the columns, or those of the key, each after prefix ("t." or ""), separated by commas. */
extern void etl_undo_columns_list(StringInfo sql, const EtlUndoColumns *columns, const char *prefix, bool only_key);

/* "a.k = b.k AND ...": whether two rows have the same key. */
extern char *etl_undo_columns_same_key(const EtlUndoColumns *columns, const char *a, const char *b);

/* A row as text, and the hash of that; only while etl_undo_columns_pin holds. */
extern char *etl_undo_columns_text(const EtlUndoColumns *columns, const char *alias);
extern char *etl_undo_columns_hash(const EtlUndoColumns *columns, const char *alias);

/* Pins the settings that the text of a value depends on; undo with AtEOXact_GUC. */
extern int etl_undo_columns_pin(void);

#endif /* ETL_UNDO_COLUMNS_H */
