/*
 * walk.c
 *		The way through the pages of an API: which is asked for next, and what an answer says about the one behind it. See
 *		feed.h.
 *
 * A page that is shorter than page_size is no proof of an end: servers have limits of their own. A read by numbers ends with
 * an empty page, or when there are as many records as the answer says there are. One by cursors or addresses ends where a
 * page names no next one. Whoever sends the reader round in circles is refused.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "errors.h"
#include "http/feed.h"
#include "net/address.h"
#include "net/redirect.h"
#include "utils/memutils.h"

/* Something that must come once only: a page's cursor, or its records. */
typedef struct Seen
{
	uint64 hash;
} Seen;

/* first_of returns the first page of a parent. */
static EtlHttpPosition
first_of(const EtlHttpFeed *feed, int parent)
{
	EtlHttpPosition first = {.parent = parent};

	if (feed->table->paging == ETL_HTTP_PAGE)
		first.number = feed->table->first_page;
	return first;
}

/* etl_http_walk_begin begins at the first page. */
void
etl_http_walk_begin(EtlHttpFeed *feed)
{
	HASHCTL control = {.keysize = sizeof(uint64), .entrysize = sizeof(Seen), .hcxt = feed->base.request.context};

	feed->seen = hash_create("etl http pages", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	feed->next = first_of(feed, 0);
	feed->asked_all = feed->parents->n == 0;
	feed->last_number = -1;
	feed->goes_ahead = false;
	feed->received = 0;
	feed->n_pages = 0;
}

/* is_by_number says whether pages follow from their numbers. */
static bool
is_by_number(const EtlHttpTable *table)
{
	return table->paging == ETL_HTTP_PAGE || table->paging == ETL_HTTP_OFFSET;
}

/* move_on goes to the first page of the next parent. */
static void
move_on(EtlHttpFeed *feed, int parent)
{
	feed->next = first_of(feed, parent + 1);
	feed->asked_all = parent + 1 >= feed->parents->n;
	feed->goes_ahead = false;
	feed->last_number = -1;
}

/* may_ask says whether the next page can be asked for before all others were looked at. */
static bool
may_ask(const EtlHttpFeed *feed, int open)
{
	const EtlHttpTable *table = feed->table;

	if (feed->asked_all || open >= table->parallel)
		return open == 0 && !feed->asked_all;
	if (open == 0 || table->paging == ETL_HTTP_ONE)
		return true;
	return is_by_number(table) && feed->goes_ahead && (feed->last_number < 0 || feed->next.number <= feed->last_number);
}

/* etl_http_walk_ask adds the next page to pages. */
EtlHttpPage *
etl_http_walk_ask(EtlHttpFeed *feed)
{
	MemoryContext context = feed->base.request.context;
	MemoryContext old;
	EtlHttpPage *page;
	ListCell *lc;
	int open = 0;

	foreach (lc, feed->pages)
		open += ((EtlHttpPage *) lfirst(lc))->state != ETL_HTTP_READY;
	if (!may_ask(feed, open))
		return NULL;
	context = AllocSetContextCreate(context, "etl http page", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	page = palloc0(sizeof(EtlHttpPage));
	page->context = context;
	page->position = feed->next;
	if (feed->next.cursor != NULL)
		page->position.cursor = pstrdup(feed->next.cursor);
	MemoryContextSwitchTo(feed->base.request.context);
	feed->pages = lappend(feed->pages, page);
	MemoryContextSwitchTo(old);
	/* Where to go next is known already, or will be when the page was looked at. */
	if (feed->table->paging == ETL_HTTP_ONE)
		move_on(feed, page->position.parent);
	else if (is_by_number(feed->table) && feed->goes_ahead)
		feed->next.number += feed->table->paging == ETL_HTTP_PAGE ? 1 : feed->table->page_size;
	else
		feed->asked_all = true;
	return page;
}

/* etl_http_walk_drop takes a page out and gives back its memory. */
void
etl_http_walk_drop(EtlHttpFeed *feed, EtlHttpPage *page)
{
	if (page->state == ETL_HTTP_SENT)
		etl_transfer_drop(feed->set, page);
	feed->pages = list_delete_ptr(feed->pages, page);
	MemoryContextDelete(page->context);
}

/* drop_behind gives up the pages that were asked for behind the last one of a parent. */
static void
drop_behind(EtlHttpFeed *feed, const EtlHttpPage *last)
{
	List *all = list_copy(feed->pages);
	ListCell *lc;

	foreach (lc, all)
	{
		EtlHttpPage *page = lfirst(lc);

		if (page != last && page->state != ETL_HTTP_READY && page->position.parent == last->position.parent)
			etl_http_walk_drop(feed, page);
	}
	list_free(all);
}

/* fail makes a failure of a page. */
static EtlHttpFailure *
fail(EtlHttpFeed *feed, const EtlHttpPage *page, int sqlstate, const char *message, const char *detail,
	 const char *hint)
{
	EtlHttpFailure *failure = palloc0(sizeof(EtlHttpFailure));

	failure->sqlstate = sqlstate;
	failure->message = message;
	failure->detail = psprintf("%s The request was %s.", detail, etl_http_request_show(feed->table, page->request.url));
	failure->hint = hint;
	return failure;
}

/* was_seen notes something of a parent that must come once only; true: it has been there. */
static bool
was_seen(EtlHttpFeed *feed, int parent, uint64 hash)
{
	uint64 key = hash_combine64(hash, (uint64) parent);
	bool found;

	(void) hash_search(feed->seen, &key, HASH_ENTER, &found);
	return found;
}

/* check_circle refuses a page that has been there, by its cursor or by its records. */
static EtlHttpFailure *
check_circle(EtlHttpFeed *feed, EtlHttpPage *page, const char *cursor)
{
	int parent = page->position.parent;

	if (cursor != NULL &&
		was_seen(feed, parent, hash_bytes_extended((const unsigned char *) cursor, strlen(cursor), 1)))
		return fail(feed, page, ERRCODE_FDW_ERROR, "an API goes round in circles",
					"The page names a next one that was read already.", "Check next and cursor_param.");
	if (feed->table->paging != ETL_HTTP_ONE && page->document.n > 0 && was_seen(feed, parent, page->document.hash))
		return fail(
			feed, page, ERRCODE_FDW_ERROR, "an API goes round in circles",
			"The page has the same records as one before it.",
			"Check the names of the parameters for paging: an API gives its first page when it does not know them.");
	return NULL;
}

/* link_of returns the address with rel="next" out of a header Link, or NULL. */
static char *
link_of(const EtlTransferResult *result)
{
	char *header = etl_transfer_header(result, "Link");

	for (char *start = header; start != NULL && (start = strchr(start, '<')) != NULL;)
	{
		char *end = strchr(start, '>');
		size_t length;
		char *params;

		if (end == NULL)
			return NULL;
		length = strcspn(end, ",");
		params = pnstrdup(end, length);
		if (strstr(params, "rel=\"next\"") != NULL || strstr(params, "rel=next") != NULL)
			return pnstrdup(start + 1, end - start - 1);
		start = end + length;
	}
	return NULL;
}

/* is_listed says whether a superuser has listed the host of an address by name, or its network. */
static bool
is_listed(const char *url)
{
	char *origin = etl_redirect_origin(url);
	char *host = strstr(origin, "://") + 3;
	char *port = strrchr(host, ':');
	EtlAddressList *list = etl_address_list();
	bool listed;

	*port = '\0';
	listed = etl_address_is_host_listed(list, host, atoi(port + 1));
	free(list);
	return listed;
}

/* take_address checks the address of a next page. */
static EtlHttpFailure *
take_address(EtlHttpFeed *feed, EtlHttpPage *page, const char *reference, char **next)
{
	char *url = etl_redirect_resolve(page->request.url, reference);

	if (url == NULL)
		return fail(feed, page, ERRCODE_FDW_ERROR, "a page names a next one that cannot be asked for",
					"What it names is no address of HTTP.", "Check next.");
	if (!etl_redirect_is_same(url, feed->table->base_url) &&
		((strncmp(feed->table->base_url, "https:", 6) == 0 && strncmp(url, "https:", 6) != 0) || !is_listed(url)))
		return fail(feed, page, ERRCODE_FDW_ERROR, "a page names a next one on another host",
					psprintf("It is on %s.", etl_redirect_origin(url)),
					"Ask a superuser to list the host by name in etl.allowed_hosts; nothing secret is sent there.");
	*next = url;
	if (feed->table->auth == ETL_HTTP_API_KEY && feed->table->api_key_in_query)
		*next = etl_http_request_remove(url, feed->table->api_key_name);
	return NULL;
}

/* look_number finds what is behind a page that has a number. */
static EtlHttpFailure *
look_number(EtlHttpFeed *feed, EtlHttpPage *page, bool *is_end)
{
	const EtlHttpTable *table = feed->table;
	int64 total = etl_http_document_total(feed->reader, &page->document);
	int n = page->document.n;

	page->after = page->position;
	if (table->paging == ETL_HTTP_PAGE)
		page->after.number++;
	else
		page->after.number += table->parallel > 1 || table->format == ETL_HTTP_CSV ? Max(table->page_size, n) : n;
	*is_end = n == 0 || (total >= 0 && page->received >= total);
	if (n == 0 && total > page->received)
		return fail(feed, page, ERRCODE_ETL_SHORT_READ, "an API gives fewer records than it says it has",
					psprintf(INT64_FORMAT " of " INT64_FORMAT " have come.", page->received, total), NULL);
	/* With offsets in advance a page that is too short would leave a gap before the next one. */
	if (table->paging == ETL_HTTP_OFFSET && table->parallel > 1 && n > 0 && n < table->page_size && !*is_end &&
		total >= 0)
		return fail(feed, page, ERRCODE_FDW_ERROR, "an API gives shorter pages than page_size",
					psprintf("It gave %d of %d records.", n, table->page_size),
					"Set page_size to what it gives, or parallel to 1.");
	feed->goes_ahead = table->parallel > 1 && n > 0;
	if (total >= 0 && table->page_size > 0)
		feed->last_number = table->paging == ETL_HTTP_PAGE
								? table->first_page + (total + table->page_size - 1) / table->page_size - 1
								: total - 1;
	return NULL;
}

/* look_short refuses a page behind a short one, where offsets were asked for in advance and nobody said how many there are. */
static EtlHttpFailure *
look_short(EtlHttpFeed *feed, EtlHttpPage *page)
{
	const EtlHttpTable *table = feed->table;

	if (table->paging == ETL_HTTP_OFFSET && table->parallel > 1 && page->document.n > 0 &&
		feed->received - page->document.n < page->position.number)
		return fail(feed, page, ERRCODE_FDW_ERROR, "an API gives shorter pages than page_size",
					psprintf("Before record " INT64_FORMAT " only " INT64_FORMAT " have come.", page->position.number,
							 feed->received - page->document.n),
					"Set page_size to what it gives, or parallel to 1.");
	return NULL;
}

/* look_behind finds what is behind a page. */
static EtlHttpFailure *
look_behind(EtlHttpFeed *feed, EtlHttpPage *page, bool *is_end)
{
	EtlHttpFailure *failure = NULL;
	char *next = NULL;

	*is_end = true;
	if (page->unchanged || feed->table->paging == ETL_HTTP_ONE)
		return NULL;
	if (is_by_number(feed->table))
	{
		failure = look_short(feed, page);
		return failure != NULL ? failure : look_number(feed, page, is_end);
	}
	page->after = page->position;
	if (feed->table->paging == ETL_HTTP_LINK)
		next = link_of(&page->result);
	else
		next = etl_http_document_next(feed->reader, &page->document);
	if (next != NULL && feed->table->paging != ETL_HTTP_CURSOR)
		failure = take_address(feed, page, next, &next);
	page->after.cursor = next;
	*is_end = next == NULL;
	return failure;
}

/*
 * etl_http_walk_look looks at a page whose turn it is, with its document read: what is behind it becomes the next page. In
 * the page's memory context.
 */
EtlHttpFailure *
etl_http_walk_look(EtlHttpFeed *feed, EtlHttpPage *page)
{
	EtlHttpFailure *failure;
	bool is_end;

	feed->n_pages++;
	feed->received += page->document.n;
	page->received = feed->received;
	failure = look_behind(feed, page, &is_end);
	if (failure == NULL)
		failure = check_circle(feed, page, is_end ? NULL : page->after.cursor);
	if (failure != NULL)
		return failure;
	if (is_end)
	{
		int parent = page->position.parent;

		drop_behind(feed, page);
		if (feed->table->paging != ETL_HTTP_ONE)
			move_on(feed, parent);
		feed->received = 0;
		page->received = 0;
		page->after = first_of(feed, parent + 1);
		page->is_end = parent + 1 >= feed->parents->n;
	}
	else if (feed->asked_all || !feed->goes_ahead || feed->next.number < page->after.number)
	{
		MemoryContext old = MemoryContextSwitchTo(feed->base.request.context);

		feed->next = page->after;
		feed->next.cursor = page->after.cursor != NULL ? pstrdup(page->after.cursor) : NULL;
		feed->asked_all = false;
		MemoryContextSwitchTo(old);
	}
	if (feed->n_pages >= feed->table->max_pages && !page->is_end)
		return fail(feed, page, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "an API has more pages than max_pages",
					psprintf("%d were read.", feed->n_pages), "Set max_pages on the foreign table or its server.");
	return NULL;
}
