/*
 * define.h
 *		What is checked when an extract from files is defined, explained or opened; the routines are those of feed/feed.h.
 */
#ifndef ETL_FILE_DEFINE_H
#define ETL_FILE_DEFINE_H

#include "feed/feed.h"

/* Refuses a role that may not read files of this server; 42501. */
extern void etl_file_define_check_role(Oid role);

/* Refuses columns like _file that have a type of their own; HV004. */
extern void etl_file_define_check_columns(const EtlSource *source);

extern void etl_s3_define_check(EtlTask *task, const EtlSource *source);
extern List *etl_s3_define_explain(const EtlFeedRequest *request);
extern List *etl_s3_define_problems(const EtlFeedRequest *request);

extern void etl_file_define_check(EtlTask *task, const EtlSource *source);
extern List *etl_file_define_explain(const EtlFeedRequest *request);
extern List *etl_file_define_problems(const EtlFeedRequest *request);

#endif /* ETL_FILE_DEFINE_H */
