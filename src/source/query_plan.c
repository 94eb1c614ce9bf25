/*
 * query_plan.c
 *		How the query reader reads: in pages or in one piece, in which order, and what becomes of rows without a cursor.
 *		See query_reader.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "source/plan_probe.h"
#include "source/query_reader.h"
#include "source/value.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/typcache.h"

/* orders_safely says whether a foreign source and this server agree on the order of a type's values. */
static bool
orders_safely(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case UUIDOID:
			return true;
		default:
			return false;
	}
}

/* etl_query_order makes the list of order columns: cursor, then the key columns that are not the cursor; or the key alone. */
void
etl_query_order(EtlQueryReader *reader, bool with_cursor)
{
	const EtlReadRequest *request = &reader->base.request;
	const EtlNames *key = &request->task->primary_key;
	EtlPage *page = &reader->page;

	page->order = palloc(sizeof(EtlColumn *) * (key->n + 1));
	page->n_order = 0;
	if (with_cursor && page->cursor)
		page->order[page->n_order++] = page->cursor;
	for (int i = 0; i < key->n; i++)
		if (!with_cursor || page->cursor == NULL || strcmp(key->name[i], page->cursor->name) != 0)
			page->order[page->n_order++] = etl_relation_column(request->source, key->name[i]);
	reader->held = palloc0(sizeof(EtlHeld) * Max(page->n_order, 1));
	for (int i = 0; i < page->n_order; i++)
		etl_held_prepare(&reader->held[i], page->order[i]->type);
	page->last = NULL;
}

/* read_whole gives up paging for a reason that the attempt will tell. */
static void
read_whole(EtlQueryReader *reader, const char *why)
{
	reader->page.n_order = 0;
	reader->note = why;
}

/*
 * decide_paging chooses between pages and one piece. Not paged: no primary key; a foreign source whose cursor or key
 * has a type that both sides may order differently (text collations); a foreign source that leaves the sorting to this
 * server, which would fetch everything for each page.
 */
static void
decide_paging(EtlQueryReader *reader)
{
	EtlPage *page = &reader->page;
	EtlPlanFacts facts;

	etl_plan_probe(etl_page_select(page), &facts);
	reader->foreign = facts.foreign;
	reader->mysql = facts.mysql;
	if (reader->base.request.task->primary_key.n == 0)
	{
		read_whole(reader, NULL);
		return;
	}
	etl_query_order(reader, !reader->base.request.by_key);
	for (int i = 0; facts.foreign && i < page->n_order; i++)
		if (!orders_safely(page->order[i]->type))
		{
			read_whole(
				reader,
				psprintf("Read in one piece: values of type %s (column \"%s\") may sort differently in the source.",
						 format_type_be(page->order[i]->type), page->order[i]->name));
			return;
		}
	if (!facts.foreign)
		return;
	page->limit = reader->base.request.max_rows + 1;
	etl_plan_leave_sorting();
	etl_plan_probe(etl_page_select(page), &facts);
	if (facts.local_sort)
		read_whole(reader,
				   "Read in one piece: the foreign data wrapper does not send the order of the pages to the source.");
	page->limit = 0;
}

/* find_upper bounds a paged read of a source that may end early and has to be asked again for what is left. */
static void
find_upper(EtlQueryReader *reader)
{
	EtlPage *page = &reader->page;

	if (reader->mysql && page->n_order > 0 && page->order[0]->type != UUIDOID)
		page->upper = etl_sql_text(etl_page_max(page));
}

/* etl_query_begin makes the author's search_path and the pinned settings hold until AtEOXact_GUC. */
int
etl_query_begin(const EtlTask *task)
{
	int level = etl_attempt_author_path(task);

	etl_value_pin_settings();
	return level;
}

/* set_nulls decides when the rows without a cursor are read: in cursor order after the others, else among them. */
static void
set_nulls(EtlQueryReader *reader)
{
	const EtlReadRequest *request = &reader->base.request;
	EtlPage *page = &reader->page;
	bool cursor_leads = page->n_order > 0 && page->order[0] == page->cursor;

	if (page->n_order > 0 && !page->order[0]->not_null && (request->null_cursors || !cursor_leads))
		reader->nulls_to_read = request->until == NULL;
	if (page->cursor == NULL || cursor_leads)
		return;
	page->not_null = !request->null_cursors && page->lower == NULL && page->below == NULL;
	page->null_too = request->null_cursors;
}

/* refuse_after reports that a read in key order which was begun by another reader cannot go on in one piece. */
static void
refuse_after(const EtlQueryReader *reader)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("source %s can only be read in one piece", reader->page.source->name),
					errdetail("An earlier attempt has read a part of it in the order of its key."),
					errhint("Let the reader of that attempt work again (etl.task_run.reader), or start anew with"
							" full_refresh => true.")));
}

/* etl_query_plan fills a reader in. */
void
etl_query_plan(EtlQueryReader *reader)
{
	const EtlReadRequest *request = &reader->base.request;
	EtlPage *page = &reader->page;
	int level = etl_query_begin(request->task);

	page->filter = request->filter;
	page->deleted = request->deleted;
	page->until = request->until;
	page->source = request->source;
	page->map = request->map;
	page->lower = request->lower;
	page->below = request->below;
	if (request->task->cursor_column)
	{
		page->cursor = etl_relation_column(request->source, request->task->cursor_column);
		etl_held_prepare(&reader->highest, page->cursor->type);
		reader->compare = &lookup_type_cache(page->cursor->type, TYPECACHE_CMP_PROC_FINFO)->cmp_proc_finfo;
	}
	decide_paging(reader);
	find_upper(reader);
	for (int i = 0; i < request->source->n; i++)
		reader->mysql_stores |= reader->mysql && request->source->column[i].type == TEXTOID;
	set_nulls(reader);
	if (request->after && page->n_order == 0)
		refuse_after(reader);
	if (request->after)
	{
		page->last = palloc(sizeof(char *) * page->n_order);
		for (int i = 0; i < page->n_order; i++)
			page->last[i] = pstrdup(request->after[i]);
	}
	AtEOXact_GUC(false, level);
}
