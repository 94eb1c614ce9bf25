/*
 * relation.h
 *		What an extract knows about the relation that it reads.
 */
#ifndef ETL_RELATION_H
#define ETL_RELATION_H

#include "access/attnum.h"
#include "etl_ext.h"

typedef struct EtlColumn
{
	char *name;
	AttrNumber attnum;
	Oid type;
	int32 typmod;
	Oid collation;
	bool not_null;
} EtlColumn;

typedef struct EtlSource
{
	Oid oid;
	char relkind;
	char *name;	 /* schema-qualified and quoted */
	char *alias; /* its name without schema, quoted: prefix of its columns */
	Oid server;	 /* InvalidOid: not a foreign table */
	char *server_name;
	char *fdw; /* name of the foreign data wrapper, or NULL */
	int n;
	EtlColumn *column; /* the columns that the extract takes */
} EtlSource;

/* Finds the relation that a name means under the current search_path; InvalidOid when there is none. */
extern Oid etl_relation_find(const char *name);

/* Schema-qualified, quoted name of a relation. */
extern char *etl_relation_name(Oid relid);

/* Describes a relation with all its columns, or with those in columns if not empty (42703 when one is missing). */
extern EtlSource *etl_relation_describe(Oid relid, const EtlNames *columns);

/* A column by name, or NULL. */
extern const EtlColumn *etl_relation_column(const EtlSource *source, const char *name);

/* The names of the columns for a hint. */
extern char *etl_relation_column_list(const EtlSource *source);

/* The source as an item of FROM that has only the columns that the extract takes, under the source's own alias. */
extern char *etl_relation_selected(const EtlSource *source);

/* Refuses (42501) when the current user cannot read the columns. */
extern void etl_relation_check_select(const EtlSource *source);

#endif /* ETL_RELATION_H */
