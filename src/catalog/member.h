/* member.h: members of JSON objects that are strings, as the requests for runs have them. */
#ifndef ETL_MEMBER_H
#define ETL_MEMBER_H

#include "utils/jsonb.h"

/* A member as text; NULL: it is not there, or no string. */
extern char *etl_member_text(Jsonb *object, const char *name);

/* A member that is a number in a string; 0: it is not there. */
extern int64 etl_member_int64(Jsonb *object, const char *name);

/* Adds a member to an object that is being made; none for a value that is NULL. */
extern void etl_member_push(JsonbParseState **state, const char *name, const char *value);

#endif /* ETL_MEMBER_H */
