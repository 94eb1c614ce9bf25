/*
 * args.h
 *		Arguments of SQL functions by name: the functions have too many to count positions, and get more.
 */
#ifndef ETL_ARGS_H
#define ETL_ARGS_H

#include "etl_ext.h"
#include "fmgr.h"

extern Jsonb *etl_args_object(FunctionCallInfo fcinfo);
extern bool etl_args_find(FunctionCallInfo fcinfo, const char *name, Datum *value);
extern char *etl_args_text(FunctionCallInfo fcinfo, const char *name);
extern char *etl_args_required(FunctionCallInfo fcinfo, const char *name);
extern EtlNames etl_args_names(FunctionCallInfo fcinfo, const char *name);

#endif /* ETL_ARGS_H */
