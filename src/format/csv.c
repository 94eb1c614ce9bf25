/*
 * csv.c
 *		CSV by PostgreSQL's own parser, that of COPY. See parser.h.
 *
 * COPY cuts a piece into records and these into fields (csv_copy.c); what becomes of the fields is decided here, so that a
 * bad field is a bad record and not the end of everything.
 */
#include "postgres.h"

#include "format/csv_copy.h"
#include "mb/pg_wchar.h"
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
	const EtlSource *source;
	const EtlSource *all; /* with all columns of the foreign table */
	const char *const *own;
	int n;		 /* fields of a record; 0: not known yet */
	int *column; /* index in source->column, EXTRA or NOWHERE */
	char **name; /* of the fields */
	bool has_extra;
	MemoryContext context; /* of the parser */
	MemoryContext header;  /* of n, column and name, if they come from a header */
	EtlCsvCopy copy;
	bool is_at_start; /* the header comes next */
} Csv;

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

/* csv_cut leaves it to csv_copy.c. */
static size_t
csv_cut(const EtlParser *parser, const char *bytes, size_t length, bool is_end)
{
	return etl_csv_copy_cut(&((const Csv *) parser)->options, bytes, length, is_end);
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

	parser->records = parser->skip = 0;
	csv->is_at_start = true;
	etl_csv_copy_begin(&csv->copy);
	if (csv->options.header != ETL_CSV_MATCH)
		return;
	MemoryContextReset(csv->header);
	csv->n = 0;
	csv->has_extra = false;
}

/* csv_give takes a piece; a byte order mark at the beginning of the document is none of it. */
static void
csv_give(EtlParser *parser, const char *bytes, size_t length)
{
	Csv *csv = (Csv *) parser;

	if (csv->is_at_start && length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
	{
		bytes += 3;
		length -= 3;
	}
	etl_csv_copy_give(&csv->copy, bytes, length);
}

/* field_text returns the text of a field; false: bad says why. */
static bool
field_text(const Csv *csv, char *field, char **text, EtlBadRow *bad)
{
	int length;

	*text = field;
	if (field == NULL || !csv->copy.checks_fields || csv->copy.is_checked)
		return true;
	length = strlen(field);
	if (csv->copy.zero != '\0')
		for (char *c = field; (c = strchr(c, csv->copy.zero)) != NULL;)
			*c = '\0';
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
		if (!etl_csv_copy_next(&csv->copy, &fields, &n))
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
		if (!etl_csv_copy_next(&csv->copy, &fields, &n))
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
	csv->source = source;
	csv->all = etl_relation_describe(source->oid, NULL);
	csv->own = own;
	csv->context = CurrentMemoryContext;
	csv->header = AllocSetContextCreate(csv->context, "etl csv header", ALLOCSET_SMALL_SIZES);
	etl_csv_copy_make(&csv->copy, &csv->options, source->oid, &csv->base.line);
	if (options->header != ETL_CSV_MATCH)
		by_position(csv);
	return &csv->base;
}
