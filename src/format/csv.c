/*
 * csv.c
 *		CSV by PostgreSQL's own parser, that of COPY. See parser.h.
 *
 * COPY cuts a piece into records and these into fields; what becomes of the fields is decided here, so that a bad field is a
 * bad record and not the end of everything. Where the encoding allows it, COPY is told that there is none: it would check
 * a whole buffer and end at the first bad byte; here each field is checked by itself.
 *
 * The reader of a piece is called by COPY without an argument, so that the piece is in a variable of this file.
 */
#include "postgres.h"

#include "access/table.h"
#include "commands/copyfrom_internal.h"
#include "format/parser.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

/* Where a field goes, if to no column. */
#define EXTRA (-1)
#define NOWHERE (-2)

typedef struct Csv
{
	EtlParser base;
	EtlInput *input;
	EtlCsvOptions options;
	bool checks_fields; /* COPY does not know the encoding */
	const EtlSource *source;
	const EtlSource *all; /* with all columns of the foreign table */
	const char *const *own;
	int n;		 /* fields of a record; 0: not known yet */
	int *column; /* index in source->column, EXTRA or NOWHERE */
	char **name; /* of the fields */
	bool has_extra;
	MemoryContext context; /* of the parser */
	MemoryContext header;  /* of n, column and name, if they come from a header */
	MemoryContext piece;   /* of COPY */
	CopyFromState copy;	   /* NULL: no piece */
	const char *bytes;	   /* the piece */
	size_t length;
	size_t taken;	  /* of it, by COPY */
	int64 lines;	  /* before the piece */
	bool is_at_start; /* the header comes next */
} Csv;

/* The piece that COPY reads now. */
static Csv *current = NULL;

/* etl_csv_defaults are those of COPY, but for the header. */
void
etl_csv_defaults(EtlCsvOptions *options)
{
	memset(options, 0, sizeof(*options));
	options->header = ETL_CSV_MATCH;
	options->delimiter = ',';
	options->quote = '"';
	options->escape = '"';
	options->null = "";
	options->encoding = PG_UTF8;
}

/* read_piece is COPY's callback. */
static int
read_piece(void *buffer, int least, int most)
{
	size_t n = Min((size_t) most, current->length - current->taken);

	memcpy(buffer, current->bytes + current->taken, n);
	current->taken += n;
	return (int) n;
}

/* skip_quoted returns where a quoted part ends that begins at from, behind its quote; length: it does not. */
static size_t
skip_quoted(const Csv *csv, const char *bytes, size_t from, size_t length)
{
	char quote = csv->options.quote;
	char escape = csv->options.escape;
	const char *found;

	if (escape == quote)
	{
		/* A doubled quote ends one part and begins another. */
		found = memchr(bytes + from, quote, length - from);
		return found ? (size_t) (found - bytes) + 1 : length;
	}
	for (size_t i = from; i < length; i++)
	{
		if (bytes[i] == escape)
			i++;
		else if (bytes[i] == quote)
			return i + 1;
	}
	return length;
}

/* csv_cut ends behind the last end of a line that is not within quotes. */
static size_t
csv_cut(const EtlParser *parser, const char *bytes, size_t length, bool is_end)
{
	const Csv *csv = (const Csv *) parser;
	size_t at = 0;
	size_t whole = 0;

	if (is_end)
		return length;
	while (at < length)
	{
		const char *quote = memchr(bytes + at, csv->options.quote, length - at);
		size_t stop = quote ? (size_t) (quote - bytes) : length;
		const char *newline = memrchr(bytes + at, '\n', stop - at);

		if (newline)
			whole = (size_t) (newline - bytes) + 1;
		at = quote ? skip_quoted(csv, bytes, stop + 1, length) : length;
	}
	return whole;
}

/* is_own says whether the feed fills a column by itself. */
static bool
is_own(const Csv *csv, const char *name)
{
	for (const char *const *own = csv->own; own != NULL && *own != NULL; own++)
		if (strcmp(*own, name) == 0)
			return true;
	return false;
}

/* place_of says where a field of a name goes. */
static int
place_of(const Csv *csv, const char *name)
{
	int column = etl_input_find(csv->source, name);

	if (is_own(csv, name))
		return EXTRA;
	if (column >= 0)
		return column;
	return etl_input_find(csv->all, name) >= 0 ? NOWHERE : EXTRA;
}

/* by_position makes the fields those of the foreign table. */
static void
by_position(Csv *csv)
{
	csv->column = palloc(sizeof(int) * Max(csv->all->n, 1));
	csv->name = palloc(sizeof(char *) * Max(csv->all->n, 1));
	for (int i = 0; i < csv->all->n; i++)
	{
		char *name = csv->all->column[i].name;

		if (is_own(csv, name))
			continue;
		csv->name[csv->n] = name;
		csv->column[csv->n++] = place_of(csv, name);
	}
}

/* csv_begin begins a document. */
static void
csv_begin(EtlParser *parser)
{
	Csv *csv = (Csv *) parser;

	parser->line = parser->records = parser->skip = csv->lines = 0;
	csv->is_at_start = true;
	if (csv->copy)
		EndCopyFrom(csv->copy);
	csv->copy = NULL;
	MemoryContextReset(csv->piece);
	if (csv->options.header != ETL_CSV_MATCH)
		return;
	MemoryContextReset(csv->header);
	csv->n = 0;
	csv->has_extra = false;
}

/* option makes an option of COPY. */
static DefElem *
option(const char *name, char *value)
{
	return makeDefElem(pstrdup(name), (Node *) makeString(value), -1);
}

/* csv_give lets COPY begin with a piece. */
static void
csv_give(EtlParser *parser, const char *bytes, size_t length)
{
	Csv *csv = (Csv *) parser;
	MemoryContext old;
	Relation rel;
	List *options;
	int encoding = csv->checks_fields ? PG_SQL_ASCII : csv->options.encoding;

	MemoryContextReset(csv->piece);
	if (csv->is_at_start && length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
	{
		bytes += 3;
		length -= 3;
	}
	csv->bytes = bytes;
	csv->length = length;
	csv->taken = 0;
	old = MemoryContextSwitchTo(csv->piece);
	options = list_make5(option("format", "csv"), option("delimiter", psprintf("%c", csv->options.delimiter)),
						 option("quote", psprintf("%c", csv->options.quote)),
						 option("escape", psprintf("%c", csv->options.escape)),
						 option("null", pstrdup(csv->options.null)));
	options = lappend(options, option("encoding", pstrdup(pg_encoding_to_char(encoding))));
	rel = table_open(csv->source->oid, AccessShareLock);
	csv->copy = BeginCopyFrom(NULL, rel, NULL, NULL, false, read_piece, NIL, options);
	table_close(rel, NoLock);
	MemoryContextSwitchTo(old);
}

/* field_text returns the text of a field; false: bad says why. */
static bool
field_text(const Csv *csv, char *field, char **text, EtlBadRow *bad)
{
	int length;

	*text = field;
	if (field == NULL || !csv->checks_fields)
		return true;
	length = strlen(field);
	if (csv->options.encoding == GetDatabaseEncoding() &&
		pg_encoding_verifymbstr(csv->options.encoding, field, length) == length)
		return true;
	*text = etl_input_text(field, length, csv->options.encoding, bad);
	return *text != NULL;
}

/* refuse_header reports a header that cannot be followed. */
static void
pg_attribute_noreturn() refuse_header(const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_BAD_COPY_FILE_FORMAT), errmsg("the header does not fit the foreign table"),
					errdetail("%s", detail), errhint("%s", hint)));
}

/* check_header refuses names that are there twice, and columns that are not there. */
static void
check_header(const Csv *csv)
{
	for (int i = 0; i < csv->n; i++)
		for (int j = 0; j < i; j++)
			if (strcmp(csv->name[i], csv->name[j]) == 0)
				refuse_header(psprintf("It names \"%s\" twice.", csv->name[i]),
							  "Correct the file, or use header 'skip' to take columns by their position.");
	if (csv->options.missing_is_null)
		return;
	for (int i = 0; i < csv->all->n; i++)
	{
		bool found = is_own(csv, csv->all->column[i].name);

		for (int j = 0; j < csv->n && !found; j++)
			found = strcmp(csv->all->column[i].name, csv->name[j]) == 0;
		if (!found)
			refuse_header(psprintf("It does not name column \"%s\".", csv->all->column[i].name),
						  "Correct the file or the foreign table, or use missing_columns 'null'.");
	}
}

/* take_header keeps where the fields go that the first line names. */
static void
take_header(Csv *csv, char **fields, int n)
{
	MemoryContext old = MemoryContextSwitchTo(csv->header);

	csv->column = palloc(sizeof(int) * Max(n, 1));
	csv->name = palloc(sizeof(char *) * Max(n, 1));
	csv->n = n;
	for (int i = 0; i < n; i++)
	{
		EtlBadRow bad = {0};
		char *name;

		if (!field_text(csv, fields[i], &name, &bad))
			refuse_header(psprintf("%s.", bad.reason), "Set encoding to that of the file.");
		csv->name[i] = pstrdup(name ? name : "");
		csv->column[i] = place_of(csv, csv->name[i]);
		csv->has_extra |= csv->column[i] == EXTRA;
	}
	MemoryContextSwitchTo(old);
	check_header(csv);
}

/* next_fields lets COPY read a record; false: the piece is used up. */
static bool
next_fields(Csv *csv, char ***fields, int *n)
{
	uint64 before;

	if (csv->copy == NULL)
		return false;
	/* COPY counts the line on which a record ends. */
	before = csv->copy->cur_lineno;
	csv->base.line = csv->lines + before + 1;
	current = csv;
	if (NextCopyFromRawFields(csv->copy, fields, n))
		return true;
	csv->lines += before;
	EndCopyFrom(csv->copy);
	csv->copy = NULL;
	return false;
}

/* is_empty_line says whether a record is an empty line, which is none where there are several fields. */
static bool
is_empty_line(const Csv *csv, char *const *fields, int n)
{
	return n == 1 && csv->n != 1 && (fields[0] == NULL || fields[0][0] == '\0');
}

/* refuse_count says that a record has too few or too many fields. */
static bool
refuse_count(const Csv *csv, int n, EtlBadRow *bad)
{
	bad->sqlstate = ERRCODE_BAD_COPY_FILE_FORMAT;
	bad->reason = psprintf("the record has %d fields instead of %d", n, csv->n);
	return false;
}

/* add_extra adds a field that no column takes. */
static bool
add_extra(const Csv *csv, int i, char *field, JsonbParseState **state, EtlBadRow *bad)
{
	JsonbValue key = {.type = jbvString};
	JsonbValue value = {.type = jbvString};
	char *text;

	if (!field_text(csv, field, &text, bad))
		return false;
	if (text == NULL)
		return true;
	if (*state == NULL)
		(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	key.val.string.val = csv->name[i];
	key.val.string.len = strlen(csv->name[i]);
	value.val.string.val = text;
	value.val.string.len = strlen(text);
	(void) pushJsonbValue(state, WJB_KEY, &key);
	(void) pushJsonbValue(state, WJB_VALUE, &value);
	return true;
}

/* read_record makes a row of the fields. */
static bool
read_record(Csv *csv, char **fields, int n, TupleTableSlot *slot, Jsonb **extra, EtlBadRow *bad)
{
	JsonbParseState *state = NULL;
	char *text;

	if (n != csv->n)
		return refuse_count(csv, n, bad);
	for (int i = 0; i < n; i++)
	{
		int column = csv->column[i];

		if (column == EXTRA && extra && !add_extra(csv, i, fields[i], &state, bad))
			return false;
		if (column < 0)
			continue;
		if (!field_text(csv, fields[i], &text, bad))
		{
			bad->column = csv->name[i];
			return false;
		}
		if (!etl_input_value(csv->input, column, text, slot, bad))
			return false;
	}
	if (state)
		*extra = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	return true;
}

/* record_text puts a record together again, for a person to look at. */
static void
record_text(const Csv *csv, char *const *fields, int n, EtlBadRow *bad)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < n; i++)
	{
		const char *field = fields[i] ? fields[i] : csv->options.null;
		bool is_quoted = strpbrk(field, (char[]){csv->options.delimiter, csv->options.quote, '\n', '\r', '\0'}) != NULL;

		if (i > 0)
			appendStringInfoChar(&text, csv->options.delimiter);
		if (is_quoted)
			appendStringInfoChar(&text, csv->options.quote);
		for (const char *c = field; *c; c++)
		{
			if (is_quoted && *c == csv->options.quote)
				appendStringInfoChar(&text, csv->options.escape);
			appendStringInfoChar(&text, *c);
		}
		if (is_quoted)
			appendStringInfoChar(&text, csv->options.quote);
	}
	bad->record = text.data;
	bad->record_length = text.len;
}

/* read_header reads the first line; false: the piece is used up. */
static bool
read_header(Csv *csv)
{
	char **fields;
	int n;

	if (csv->options.header != ETL_CSV_NONE)
	{
		if (!next_fields(csv, &fields, &n))
			return false;
		if (csv->options.header == ETL_CSV_MATCH)
			take_header(csv, fields, n);
	}
	csv->is_at_start = false;
	return true;
}

/* csv_next reads the next record. */
static EtlFeedStep
csv_next(EtlParser *parser, TupleTableSlot *slot, Jsonb **extra, EtlBadRow *bad)
{
	Csv *csv = (Csv *) parser;
	char **fields;
	int n;

	if (extra)
		*extra = NULL;
	if (csv->is_at_start && !read_header(csv))
		return ETL_FEED_PAUSE;
	do
	{
		if (!next_fields(csv, &fields, &n))
			return ETL_FEED_PAUSE;
		if (!is_empty_line(csv, fields, n))
			parser->records++;
	} while (parser->records <= parser->skip || is_empty_line(csv, fields, n));
	if (read_record(csv, fields, n, slot, extra, bad))
		return ETL_FEED_ROW;
	bad->position = parser->line;
	record_text(csv, fields, n, bad);
	return ETL_FEED_BAD;
}

static const EtlParserRoutine csv_parser = {
	.cut = csv_cut,
	.begin = csv_begin,
	.give = csv_give,
	.next = csv_next,
};

/* etl_csv_make makes a parser. */
EtlParser *
etl_csv_make(const EtlSource *source, EtlInput *input, const char *const *own, const EtlCsvOptions *options)
{
	Csv *csv = palloc0(sizeof(Csv));

	csv->base.routine = &csv_parser;
	csv->input = input;
	csv->options = *options;
	csv->checks_fields = !PG_ENCODING_IS_CLIENT_ONLY(options->encoding);
	csv->source = source;
	csv->all = etl_relation_describe(source->oid, NULL);
	csv->own = own;
	csv->context = CurrentMemoryContext;
	csv->header = AllocSetContextCreate(csv->context, "etl csv header", ALLOCSET_SMALL_SIZES);
	csv->piece = AllocSetContextCreate(csv->context, "etl csv piece", ALLOCSET_DEFAULT_SIZES);
	if (options->header != ETL_CSV_MATCH)
		by_position(csv);
	return &csv->base;
}
