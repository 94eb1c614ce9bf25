/*
 * statement.h
 *		SQL that a user wrote, parsed and analyzed. Errors point into the user's text, not into the call that carried it.
 */
#ifndef ETL_STATEMENT_H
#define ETL_STATEMENT_H

#include "nodes/parsenodes.h"

/* Parses text into RawStmts. Errors: 42601. */
extern List *etl_statement_parse(const char *text);

/* Analyzes one statement of text with the current search_path; a utility statement stays as it is. */
extern Query *etl_statement_analyze(RawStmt *statement, const char *text);

/* The analyzed definition of a view or materialized view, as a copy. */
extern Query *etl_statement_view(Oid view);

#endif /* ETL_STATEMENT_H */
