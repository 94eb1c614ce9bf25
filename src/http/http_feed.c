/*
 * http_feed.c
 *		The feed of etl_http tables. See feed/feed.h for what a feed is, and feed.h here for how this one works.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "http/feed.h"
#include "mb/pg_wchar.h"
#include "net/endpoint.h"
#include "net/option.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* parent_column_of returns the column of for_each that fills a column, by the option parent; NULL: none. */
static const char *
parent_column_of(const EtlSource *source, AttrNumber attnum)
{
	return etl_endpoint_option(GetForeignColumnOptions(source->oid, attnum), "parent");
}

/* find_parent_columns looks for columns that for_each fills, and returns their names for the parsers of records. */
static const char **
find_parent_columns(EtlHttpFeed *feed)
{
	const EtlSource *source = feed->base.request.source;
	const EtlSource *all = etl_relation_describe(source->oid, NULL);
	const char **own = palloc0(sizeof(char *) * (all->n + 1));
	int n = 0;

	feed->parent_column = palloc(sizeof(int) * Max(source->n, 1));
	for (int i = 0; i < source->n; i++)
		feed->parent_column[i] = -1;
	for (int i = 0; i < all->n; i++)
	{
		const char *name = parent_column_of(source, all->column[i].attnum);
		int index = etl_input_find(source, all->column[i].name);
		int found = -1;

		if (name == NULL)
			continue;
		own[n++] = all->column[i].name;
		for (int j = 0; j < feed->parents->column.n; j++)
			if (strcmp(feed->parents->column.name[j], name) == 0)
				found = j;
		if (found < 0 && feed->parents->n > 0)
			etl_http_refuse_option("parent", psprintf("for_each has no column \"%s\".", name));
		if (index >= 0)
			feed->parent_column[index] = found;
	}
	return own;
}

/* make_parser makes what turns records into rows. */
static void
make_parser(EtlHttpFeed *feed, const char **own)
{
	const EtlSource *source = feed->base.request.source;
	const EtlHttpTable *table = feed->table;
	const char *header = etl_endpoint_option(table->options, "header");
	EtlCsvOptions csv;

	feed->input = etl_input_make(source);
	if (table->format == ETL_HTTP_JSON)
		feed->map = etl_record_map_make(source, feed->input, own);
	else if (table->format == ETL_HTTP_NDJSON)
		feed->parser = etl_lines_make(source, feed->input, own, PG_UTF8);
	else
	{
		etl_csv_defaults(&csv);
		csv.delimiter = etl_option_character(table->options, "delimiter", csv.delimiter);
		csv.quote = csv.escape = etl_option_character(table->options, "quote", csv.quote);
		if (header != NULL)
			csv.header = strcmp(header, "false") == 0  ? ETL_CSV_NONE
						 : strcmp(header, "true") == 0 ? ETL_CSV_SKIP
													   : ETL_CSV_MATCH;
		feed->parser = etl_csv_make(source, feed->input, own, &csv);
	}
}

/* feed_open reads options, secrets, parents and the position. */
static EtlFeed *
feed_open(const EtlFeedRequest *request)
{
	EtlHttpFeed *feed = palloc0(sizeof(EtlHttpFeed));

	feed->base.routine = &etl_http_feed;
	feed->base.request = *request;
	feed->started = GetCurrentTimestamp();
	feed->table = etl_http_table_read(request->source, request->user);
	etl_http_bounds_make(feed->table, request->source, request->lower, request->below, &feed->bounds);
	feed->parents = etl_http_parent_list(feed->table, request->source);
	feed->reader = etl_http_document_prepare(feed->table);
	make_parser(feed, find_parent_columns(feed));
	etl_http_rate_begin(feed->table, &feed->rate);
	etl_http_walk_begin(feed);
	etl_http_position_read(feed);
	return &feed->base;
}

/* feed_fetch brings pages, in the feed's memory. */
static void
feed_fetch(EtlFeed *base)
{
	MemoryContext old = MemoryContextSwitchTo(base->request.context);

	etl_http_fetch((EtlHttpFeed *) base);
	MemoryContextSwitchTo(old);
}

/* begin_page takes the next page whose records are to be given out; false: none is ready. */
static bool
begin_page(EtlHttpFeed *feed)
{
	EtlHttpPage *page = feed->pages != NIL ? linitial(feed->pages) : NULL;

	if (page == NULL || page->state != ETL_HTTP_READY)
		return false;
	feed->current = page;
	if (feed->parser != NULL)
	{
		feed->parser->routine->begin(feed->parser);
		feed->parser->skip = page->skip;
		if (page->document.length > 0)
			feed->parser->routine->give(feed->parser, page->document.text, page->document.length);
	}
	else
		page->given = page->skip;
	return true;
}

/* keep_validators keeps what a conditional request will need, if the read takes only this page. */
static void
keep_validators(EtlHttpFeed *feed, EtlHttpPage *page)
{
	MemoryContext old = MemoryContextSwitchTo(feed->base.request.context);

	feed->ends_with_one = page->is_end && feed->n_pages == 1 && feed->parents->n == 1;
	if (!page->unchanged)
	{
		feed->etag = etl_transfer_header(&page->result, "ETag");
		feed->last_modified = etl_transfer_header(&page->result, "Last-Modified");
	}
	MemoryContextSwitchTo(old);
}

/* end_page notes what comes behind the current page, and gives it up. */
static void
end_page(EtlHttpFeed *feed)
{
	EtlHttpPage *page = feed->current;
	MemoryContext old = MemoryContextSwitchTo(feed->base.request.context);

	keep_validators(feed, page);
	feed->done = page->after;
	feed->done.cursor = page->after.cursor != NULL ? pstrdup(page->after.cursor) : NULL;
	feed->done_received = page->received;
	feed->done_all = page->is_end;
	feed->current = NULL;
	etl_http_walk_drop(feed, page);
	MemoryContextSwitchTo(old);
}

/* describe adds to a bad record where it is from. */
static void
describe(EtlHttpFeed *feed, EtlBadRow *bad)
{
	const EtlHttpPage *page = feed->current;

	bad->origin = etl_http_request_show(feed->table, page->request.url);
	if (bad->position < 0 || feed->parser != NULL)
		bad->position = page->given;
}

/* next_json makes a row of the next record of the current page; ETL_FEED_PAUSE: it has no more. */
static EtlFeedStep
next_json(EtlHttpFeed *feed, TupleTableSlot *slot, EtlBadRow *bad)
{
	EtlHttpPage *page = feed->current;
	EtlHttpDocument *document = &page->document;
	Jsonb **extra = feed->base.request.task != NULL ? &feed->base.extra : NULL;
	int i = page->given;
	char *text;
	bool good;

	if (i >= document->n)
		return ETL_FEED_PAUSE;
	page->given++;
	if (document->item != NULL)
	{
		good = etl_record_jsonb(feed->map, document->item[i], slot, extra, bad);
		if (!good)
		{
			bad->record = JsonbToCString(NULL, &document->item[i]->root, VARSIZE(document->item[i]));
			bad->record_length = strlen(bad->record);
		}
		return good ? ETL_FEED_ROW : ETL_FEED_BAD;
	}
	text = etl_input_text(document->record[i], document->record_length[i], PG_UTF8, bad);
	good = text != NULL && etl_record_text(feed->map, text, strlen(text), slot, extra, bad);
	if (!good)
	{
		bad->record = text != NULL ? text : document->record[i];
		bad->record_length = text != NULL ? (int) strlen(text) : document->record_length[i];
	}
	return good ? ETL_FEED_ROW : ETL_FEED_BAD;
}

/* next_line does the same with a parser of lines. */
static EtlFeedStep
next_line(EtlHttpFeed *feed, TupleTableSlot *slot, EtlBadRow *bad)
{
	Jsonb **extra = feed->base.request.task != NULL ? &feed->base.extra : NULL;
	EtlFeedStep step = ETL_FEED_PAUSE;

	if (feed->current->document.length > 0)
		step = feed->parser->routine->next(feed->parser, slot, extra, bad);
	feed->current->given = (int) feed->parser->records;
	return step;
}

/* fill_parent fills the columns that for_each fills; false: bad says why. */
static bool
fill_parent(EtlHttpFeed *feed, TupleTableSlot *slot, EtlBadRow *bad)
{
	const EtlSource *source = feed->base.request.source;
	int parent = feed->current->position.parent;

	for (int i = 0; i < source->n; i++)
	{
		int column = feed->parent_column[i];

		if (column >= 0 &&
			!etl_input_value(feed->input, i,
							 pstrdup(feed->parents->value[(size_t) parent * feed->parents->column.n + column]), slot,
							 bad))
			return false;
	}
	return true;
}

/* feed_next gives out the next record of what was fetched. */
static EtlFeedStep
feed_next(EtlFeed *base, TupleTableSlot *slot, EtlBadRow *bad)
{
	EtlHttpFeed *feed = (EtlHttpFeed *) base;
	EtlFeedStep step;

	base->extra = NULL;
	for (;;)
	{
		if (feed->current == NULL && !begin_page(feed))
			return feed->done_all && feed->pages == NIL ? ETL_FEED_END : ETL_FEED_PAUSE;
		step = feed->map != NULL ? next_json(feed, slot, bad) : next_line(feed, slot, bad);
		if (step == ETL_FEED_PAUSE)
		{
			end_page(feed);
			continue;
		}
		if (step == ETL_FEED_ROW && feed->table->for_each != NULL && !fill_parent(feed, slot, bad))
			step = ETL_FEED_BAD;
		if (step == ETL_FEED_BAD)
			describe(feed, bad);
		return step;
	}
}

/* feed_save writes the position with the rows. */
static void
feed_save(EtlFeed *base, const char *highest)
{
	etl_http_position_save((EtlHttpFeed *) base, highest);
}

/* feed_close breaks off what still runs. */
static void
feed_close(EtlFeed *base)
{
	EtlHttpFeed *feed = (EtlHttpFeed *) base;

	if (feed->set != NULL)
		etl_transfer_close(feed->set);
	feed->set = NULL;
}

/* feed_define makes since_column the cursor, and lets no other column be one. */
static void
feed_define(EtlTask *task, const EtlSource *source)
{
	EtlHttpTable *table = etl_http_table_look(source);
	EtlHttpBounds ignored;

	etl_http_bounds_make(table, source, NULL, NULL, &ignored);
	if (table->since_column == NULL)
		return;
	if (task->cursor_column != NULL && strcmp(task->cursor_column, table->since_column) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("cursor_column \"%s\" is not what source %s can be asked by", task->cursor_column,
							   source->name),
						errdetail("Its option since_column is \"%s\".", table->since_column),
						errhint("Leave cursor_column out.")));
	if (etl_relation_column(source, table->since_column) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of source %s is left out", table->since_column, source->name),
				 errdetail("It is its since_column, by which new rows are asked for."), errhint("Add it to columns.")));
	task->cursor_column = pstrdup(table->since_column);
}

/* feed_explain says what would be asked first. */
static List *
feed_explain(const EtlFeedRequest *request)
{
	static const char *const auth[] = {"nothing", "user and password", "a token", "an API key", "a token of OAuth2"};
	static const char *const paging[] = {"one page",		"pages by number",		 "pages by offset",
										 "pages by cursor", "pages by next address", "pages by header Link"};
	EtlHttpTable *table = etl_http_table_look(request->source);
	EtlHttpPosition first = {.number = table->paging == ETL_HTTP_PAGE ? table->first_page : 0};
	EtlTransferRequest asked;
	EtlHttpBounds bounds;
	List *lines;

	etl_http_bounds_make(table, request->source, request->lower, request->below, &bounds);
	etl_http_request_build(table, &bounds, NULL, &first, &asked);
	lines = list_make1(psprintf("%s %s", table->is_post ? "POST" : "GET", asked.url));
	if (asked.body != NULL)
		lines = lappend(lines, psprintf("-- body: %s", asked.body));
	lines = lappend(lines, psprintf("-- %s; %d at a time", paging[table->paging], table->parallel));
	if (table->for_each != NULL)
		lines = lappend(lines, psprintf("-- for each row of: %s", table->for_each));
	lines = lappend(lines, psprintf("-- shows: %s",
									table->auth == ETL_HTTP_NONE ? "what its user mapping has" : auth[table->auth]));
	return lines;
}

const EtlFeedRoutine etl_http_feed = {
	.name = "http",
	.fdw = "etl_http",
	.keep_bad = true,
	.open = feed_open,
	.fetch = feed_fetch,
	.next = feed_next,
	.save = feed_save,
	.close = feed_close,
	.define = feed_define,
	.explain = feed_explain,
};
