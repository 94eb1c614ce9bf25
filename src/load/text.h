/*
 * text.h
 *		Pieces of generated SQL.
 */
#ifndef ETL_LOAD_TEXT_H
#define ETL_LOAD_TEXT_H

#include "lib/stringinfo.h"
#include "load/plan.h"
#include "load/text_type.h"

/* " COLLATE x" where the collation is not the type's own, or "". */
extern const char *etl_text_collate(Oid collation, Oid type);

/* Columns of the plan, each after the prefix ("t." or ""), separated by commas. */
extern void etl_text_columns(StringInfo sql, const EtlPlan *plan, const char *prefix);

/* Column definitions of a table that takes the rows as the target would; strict: with NOT NULL. */
extern void etl_text_definitions(StringInfo sql, const EtlPlan *plan, bool strict);

/* A condition that is true when the column differs between t and d, also for types without equality. */
extern char *etl_text_differs(const EtlColumn *column);

/* A column of table alias prefix in a form that can be compared with EXCEPT. */
extern char *etl_text_comparable(const EtlColumn *column, const char *prefix);

#endif /* ETL_LOAD_TEXT_H */
