/*
 * carry.h
 *		Makes a column of a raw input available at the top of the query, through the subqueries in between.
 */
#ifndef ETL_LOAD_CARRY_H
#define ETL_LOAD_CARRY_H

#include "load/compile.h"
#include "nodes/primnodes.h"

/* Why the input's columns cannot be carried to the top; NULL: they can. */
extern const char *etl_carry_reason(const EtlCompile *compile, const EtlInput *input);

/* Adds a column of the input to each subquery on the way and returns a reference to it for the top level. */
extern Var *etl_carry_column(const EtlInput *input, AttrNumber attnum, const char *name);

/* An expression of the top level as one of the input's columns alone, which are numbered 1; NULL: it is no such thing. */
extern Expr *etl_carry_down(const EtlInput *input, Expr *expression);

#endif /* ETL_LOAD_CARRY_H */
