/* command.h: tasks of kind sql. */
#ifndef ETL_COMMAND_H
#define ETL_COMMAND_H

#include "worker/attempt.h"

extern void etl_command_define(EtlTask *task);
extern void etl_command_run(EtlAttempt *attempt);
extern List *etl_command_explain(const EtlTask *task);

/* Whether one of its statements cannot run inside a transaction block, or commits by itself. */
extern bool etl_command_needs_toplevel(const EtlTask *task);

#endif /* ETL_COMMAND_H */
