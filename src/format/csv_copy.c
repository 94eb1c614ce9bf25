/*
 * csv_copy.c
 *		COPY's parser of CSV. See csv_copy.h.
 *
 * Where the encoding allows it, COPY is told that there is none: it would check a whole buffer and end at the first bad byte.
 * Two more things would end it that are a matter of one record: \0, for which another byte is put, and a line that consists
 * of "\." only, which COPY takes for the end of all data.
 *
 * The reader of a piece is called by COPY without an argument, so that the piece is in a variable of this file.
 */
#include "postgres.h"

#include "access/table.h"
#include "commands/copyfrom_internal.h"
#include "format/csv_copy.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "utils/memutils.h"

/* What COPY takes for the end. */
#define END_MARK "\\."

/* The piece that COPY reads now. */
static EtlCsvCopy *current = NULL;

/* etl_csv_copy_make prepares. */
void
etl_csv_copy_make(EtlCsvCopy *copy, const EtlCsvOptions *options, Oid relid, int64 *line)
{
	memset(copy, 0, sizeof(*copy));
	copy->options = options;
	copy->relid = relid;
	copy->line = line;
	copy->checks_fields = !PG_ENCODING_IS_CLIENT_ONLY(options->encoding);
	copy->context = AllocSetContextCreate(CurrentMemoryContext, "etl csv piece", ALLOCSET_DEFAULT_SIZES);
}

/* skip_quoted returns where a quoted part ends that begins at from, behind its quote; length: it does not. */
static size_t
skip_quoted(const EtlCsvOptions *options, const char *bytes, size_t from, size_t length)
{
	if (options->escape == options->quote)
	{
		/* A doubled quote ends one part and begins another. */
		const char *found = memchr(bytes + from, options->quote, length - from);

		return found ? (size_t) (found - bytes) + 1 : length;
	}
	for (size_t i = from; i < length; i++)
	{
		if (bytes[i] == options->escape)
			i++;
		else if (bytes[i] == options->quote)
			return i + 1;
	}
	return length;
}

/* etl_csv_copy_cut ends behind the last end of a line that is not within quotes. */
size_t
etl_csv_copy_cut(const EtlCsvOptions *options, const char *bytes, size_t length, bool is_end)
{
	size_t at = 0;
	size_t whole = 0;

	if (is_end)
		return length;
	while (at < length)
	{
		const char *quote = memchr(bytes + at, options->quote, length - at);
		size_t stop = quote ? (size_t) (quote - bytes) : length;
		const char *newline = memrchr(bytes + at, '\n', stop - at);

		if (newline)
			whole = (size_t) (newline - bytes) + 1;
		at = quote ? skip_quoted(options, bytes, stop + 1, length) : length;
	}
	return whole;
}

/* stop forgets the piece. */
static void
stop(EtlCsvCopy *copy)
{
	if (copy->state)
		EndCopyFrom(copy->state);
	copy->state = NULL;
	MemoryContextReset(copy->context);
}

/* etl_csv_copy_begin begins a document. */
void
etl_csv_copy_begin(EtlCsvCopy *copy)
{
	copy->lines = *copy->line = 0;
	stop(copy);
}

/* read_piece is COPY's callback. */
static int
read_piece(void *buffer, int least, int most)
{
	size_t n = Min((size_t) most, current->length - current->taken);

	memcpy(buffer, current->bytes + current->taken, n);
	for (char *c = buffer; current->zero != '\0' && (c = memchr(c, '\0', (char *) buffer + n - c)) != NULL;)
		*c = current->zero;
	current->taken += n;
	return (int) n;
}

/* find_zero chooses a control character that does not occur, if there is \0 in the piece. */
static char
find_zero(const EtlCsvCopy *copy)
{
	if (!copy->checks_fields || memchr(copy->bytes, '\0', copy->length) == NULL)
		return '\0';
	for (char c = 1; c < ' '; c++)
		if (c != '\n' && c != '\r' && c != copy->options->delimiter && c != copy->options->quote &&
			c != copy->options->escape && memchr(copy->bytes, c, copy->length) == NULL)
			return c;
	return '\0';
}

/* is_text says whether a piece is text of the database's encoding as it stands; then nobody has to look at its fields. */
static bool
is_text(const EtlCsvCopy *copy)
{
	int encoding = copy->options->encoding;

	if (!copy->checks_fields || copy->length > PG_INT32_MAX)
		return false;
	if (encoding == PG_SQL_ASCII)
		encoding = GetDatabaseEncoding();
	if (encoding != GetDatabaseEncoding())
	{
		for (size_t i = 0; i < copy->length; i++)
			if (IS_HIGHBIT_SET(copy->bytes[i]) || copy->bytes[i] == '\0')
				return false;
		return true;
	}
	return pg_encoding_verifymbstr(encoding, copy->bytes, (int) copy->length) == (int) copy->length;
}

/* option makes an option of COPY. */
static DefElem *
option(const char *name, char *value)
{
	return makeDefElem(pstrdup(name), (Node *) makeString(value), -1);
}

/* start lets COPY begin. */
static void
start(EtlCsvCopy *copy, const char *bytes, size_t length)
{
	const EtlCsvOptions *csv = copy->options;
	int encoding = copy->checks_fields ? PG_SQL_ASCII : csv->encoding;
	MemoryContext old;
	Relation rel;
	List *options;

	stop(copy);
	copy->bytes = bytes;
	copy->length = length;
	copy->taken = 0;
	old = MemoryContextSwitchTo(copy->context);
	options = list_make5(option("format", "csv"), option("delimiter", psprintf("%c", csv->delimiter)),
						 option("quote", psprintf("%c", csv->quote)), option("escape", psprintf("%c", csv->escape)),
						 option("null", pstrdup(csv->null)));
	options = lappend(options, option("encoding", pstrdup(pg_encoding_to_char(encoding))));
	rel = table_open(copy->relid, AccessShareLock);
	copy->state = BeginCopyFrom(NULL, rel, NULL, NULL, false, read_piece, NIL, options);
	table_close(rel, NoLock);
	MemoryContextSwitchTo(old);
}

/* etl_csv_copy_give looks at the whole piece once, however often COPY takes a line for the end of it. */
void
etl_csv_copy_give(EtlCsvCopy *copy, const char *bytes, size_t length)
{
	copy->bytes = bytes;
	copy->length = length;
	copy->is_checked = is_text(copy);
	copy->zero = copy->is_checked ? '\0' : find_zero(copy);
	start(copy, bytes, length);
}

/* ends_with_mark says whether the last line of some bytes is the one that COPY takes for the end. */
static bool
ends_with_mark(const char *bytes, size_t length)
{
	size_t end = length;

	if (end > 0 && bytes[end - 1] == '\n')
		end--;
	if (end > 0 && bytes[end - 1] == '\r')
		end--;
	if (end == length || end < strlen(END_MARK) || memcmp(bytes + end - strlen(END_MARK), END_MARK, 2) != 0)
		return false;
	end -= strlen(END_MARK);
	return end == 0 || bytes[end - 1] == '\n' || bytes[end - 1] == '\r';
}

/* left_over returns how many bytes of the piece COPY has not looked at. Its buffers are one where it does not convert. */
static size_t
left_over(const EtlCsvCopy *copy)
{
	const CopyFromState state = copy->state;

	if (!state->need_transcoding)
		return copy->length - copy->taken + (size_t) (state->raw_buf_len - state->input_buf_index);
	if (copy->taken == copy->length && state->raw_buf_index == state->raw_buf_len &&
		state->input_buf_index == state->input_buf_len && !ends_with_mark(copy->bytes, copy->length))
		return 0;
	ereport(ERROR, (errcode(ERRCODE_BAD_COPY_FILE_FORMAT), errmsg("a line consists of \"" END_MARK "\" only"),
					errdetail("In encoding %s it cannot be told apart from the end of the data.",
							  pg_encoding_to_char(copy->options->encoding)),
					errhint("Correct the file: put it into quotes.")));
}

/* etl_csv_copy_next goes on behind a line that COPY takes for the end: it is a record like any other. */
bool
etl_csv_copy_next(EtlCsvCopy *copy, char ***fields, int *n)
{
	static char mark[sizeof(END_MARK)];
	static char *mark_fields[] = {mark};
	uint64 before;
	size_t rest;
	const char *end;

	if (copy->state == NULL)
		return false;
	/* COPY counts the line on which a record ends. */
	before = copy->state->cur_lineno;
	*copy->line = copy->lines + before + 1;
	current = copy;
	if (NextCopyFromRawFields(copy->state, fields, n))
		return true;
	rest = left_over(copy);
	end = copy->bytes + copy->length - rest;
	copy->lines += before;
	stop(copy);
	if (!ends_with_mark(copy->bytes, end - copy->bytes))
		return false;
	copy->lines++;
	if (rest > 0 && end[-1] == '\r' && *end == '\n')
		rest--;
	if (rest > 0)
		start(copy, copy->bytes + copy->length - rest, rest);
	memcpy(mark, END_MARK, sizeof(mark));
	*fields = mark_fields;
	*n = lengthof(mark_fields);
	return true;
}
