/*
 * reader.c
 *		Which reader serves a request, and what all readers have in common. See reader.h.
 */
#include "postgres.h"

#include "feed/reader.h"
#include "source/reader.h"

/* A reader with a connection of its own, and the wrapper whose tables it serves. */
typedef struct Native
{
	const char *fdw;
	const EtlReaderRoutine *routine;
	bool needs_remote;
} Native;

static const Native native[] = {
	{"postgres_fdw", &etl_postgres_reader, true},
#ifdef ETL_WITH_MYSQL
	{"mysql_fdw", &etl_mysql_reader, true},
#endif
	{"etl_http", &etl_http_reader, false},		  {"etl_s3", &etl_s3_reader, false},
	{"etl_file", &etl_file_reader, false},		  {"etl_kafka", &etl_kafka_reader, false},
};

/* find_native returns the reader for the source's wrapper, or NULL. */
static const Native *
find_native(const EtlSource *source)
{
	for (int i = 0; source->fdw && i < lengthof(native); i++)
		if (strcmp(native[i].fdw, source->fdw) == 0)
			return &native[i];
	return NULL;
}

/* refuse reports that the reader that the task names cannot serve it. */
static void
refuse(const EtlReadRequest *request, const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("reader \"%s\" cannot read source %s", request->task->reader, request->source->name),
					errdetail("%s.", why), errhint("reader => 'auto' takes another one then.")));
}

/* etl_reader_open_own asks the reader for the source's wrapper. */
EtlReader *
etl_reader_open_own(const EtlReadRequest *request, const char **reason)
{
	const Native *found = find_native(request->source);
	const char *named = request->task->reader;
	const char *why = "the source has no reader of its own";
	EtlReader *reader = NULL;

	if (named && strcmp(named, "query") == 0)
	{
		*reason = "the task says so";
		return NULL;
	}
	if (found && (request->remote || !found->needs_remote))
		reader = found->routine->open(request, &why);
	else if (found)
		why = "there is no connection of our own to the source";
	*reason = reader ? NULL : why;
	if (named && strcmp(named, "auto") != 0 && (reader == NULL || strcmp(reader->routine->name, named) != 0))
		refuse(request, why);
	return reader;
}

/* etl_reader_open asks the source's own reader first. */
EtlReader *
etl_reader_open(const EtlReadRequest *request, const char **reason)
{
	EtlReader *reader = etl_reader_open_own(request, reason);
	const char *why = NULL;

	return reader ? reader : etl_query_reader.open(request, &why);
}
