/*
 * message.h
 *		An alert as text for people and as JSON for programs: pure, no I/O.
 */
#ifndef ETL_MESSAGE_H
#define ETL_MESSAGE_H

#include "catalog/alert.h"

/* What happened, in words, from the event alone. */
extern const char *etl_message_event(const char *event);

/* "[fail] pipeline daily, task orders: task failed", in one line; a subject. */
extern char *etl_message_subject(const EtlAlert *alert);

/* The same with run and message: one paragraph. */
extern char *etl_message_line(const EtlAlert *alert);

/* An object with everything; text: the paragraph for Slack too; at most limit bytes (0: any), message cut as needed. */
extern char *etl_message_json(const EtlAlert *alert, bool text, int limit);

/* The test of a route of channel openlineage: an event of a job that does nothing; namespace NULL: the database. */
extern char *etl_message_lineage(const EtlAlert *alert, const char *namespace);

/* Cuts a text to at most limit bytes between two characters, and says so by three dots. */
extern char *etl_message_clip(const char *text, int limit);

#endif /* ETL_MESSAGE_H */
