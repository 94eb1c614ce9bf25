/*
 * lines.c
 *		JSON records, each on a line of its own (NDJSON). See parser.h.
 */
#include "postgres.h"

#include "format/parser.h"
#include "format/record.h"
#include "mb/pg_wchar.h"

typedef struct Lines
{
	EtlParser base;
	EtlRecordMap *map;
	int encoding;
	const char *at; /* what is left of the piece */
	const char *end;
	int64 lines; /* of the document, so far */
} Lines;

/* lines_cut ends behind the last end of a line. */
static size_t
lines_cut(const EtlParser *parser, const char *bytes, size_t length, bool is_end)
{
	const char *last = is_end ? NULL : memrchr(bytes, '\n', length);

	if (is_end)
		return length;
	return last ? (size_t) (last - bytes) + 1 : 0;
}

/* lines_begin begins a document. */
static void
lines_begin(EtlParser *parser)
{
	Lines *lines = (Lines *) parser;

	parser->line = parser->records = parser->skip = lines->lines = 0;
	lines->at = lines->end = NULL;
}

/* lines_give takes a piece; a byte order mark at the beginning of the document is none of it. */
static void
lines_give(EtlParser *parser, const char *bytes, size_t length)
{
	Lines *lines = (Lines *) parser;

	if (lines->lines == 0 && length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
	{
		bytes += 3;
		length -= 3;
	}
	lines->at = bytes;
	lines->end = bytes + length;
}

/* next_line finds the next line that is not empty; false: the piece is used up. */
static bool
next_line(Lines *lines, const char **line, int *length)
{
	while (lines->at < lines->end)
	{
		const char *start = lines->at;
		const char *newline = memchr(start, '\n', lines->end - start);
		const char *stop = newline ? newline : lines->end;

		lines->at = newline ? newline + 1 : lines->end;
		lines->lines++;
		while (stop > start && (stop[-1] == '\r' || stop[-1] == ' ' || stop[-1] == '\t'))
			stop--;
		while (start < stop && (*start == ' ' || *start == '\t'))
			start++;
		if (start == stop)
			continue;
		*line = start;
		*length = (int) (stop - start);
		return true;
	}
	return false;
}

/* read_record makes a row of a line. */
static bool
read_record(Lines *lines, const char *line, int length, TupleTableSlot *slot, Jsonb **extra, EtlBadRow *bad)
{
	if (lines->encoding == GetDatabaseEncoding() && pg_encoding_verifymbstr(lines->encoding, line, length) == length)
		return etl_record_text(lines->map, line, length, slot, extra, bad);
	line = etl_input_text(line, length, lines->encoding, bad);
	return line != NULL && etl_record_text(lines->map, line, strlen(line), slot, extra, bad);
}

/* lines_next reads the next record. */
static EtlFeedStep
lines_next(EtlParser *parser, TupleTableSlot *slot, Jsonb **extra, EtlBadRow *bad)
{
	Lines *lines = (Lines *) parser;
	const char *line;
	int length;

	do
	{
		if (!next_line(lines, &line, &length))
			return ETL_FEED_PAUSE;
		parser->records++;
	} while (parser->records <= parser->skip);
	parser->line = lines->lines;
	if (read_record(lines, line, length, slot, extra, bad))
		return ETL_FEED_ROW;
	bad->position = parser->line;
	bad->record = line;
	bad->record_length = length;
	return ETL_FEED_BAD;
}

static const EtlParserRoutine lines_parser = {
	.cut = lines_cut,
	.begin = lines_begin,
	.give = lines_give,
	.next = lines_next,
};

/* etl_lines_make makes a parser. */
EtlParser *
etl_lines_make(const EtlSource *source, EtlInput *input, const char *const *own, int encoding)
{
	Lines *lines = palloc0(sizeof(Lines));

	lines->base.routine = &lines_parser;
	lines->map = etl_record_map_make(source, input, own);
	lines->encoding = encoding;
	return &lines->base;
}
