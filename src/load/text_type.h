/*
 * text_type.h
 *		Pieces of generated SQL that depend on types alone: their names and operators. In text.c.
 */
#ifndef ETL_TEXT_TYPE_H
#define ETL_TEXT_TYPE_H

#include "access/stratnum.h"

/* A type with its modifier, schema-qualified. typmod -1: none, not even a default one. */
extern char *etl_text_type(Oid type, int32 typmod);

/* " OPERATOR(schema.=) ", or " = " where it is in pg_catalog. */
extern char *etl_text_operator(Oid operator_oid);

/* The same for a comparison of the type's btree ordering. */
extern char *etl_text_comparison(Oid type, StrategyNumber strategy);

#endif /* ETL_TEXT_TYPE_H */
