/*
 * fetch.c
 *		Brings pages: sends requests, follows redirections, tries again, and looks at the answers in their order. See feed.h.
 *
 * An error of a page is raised when its turn comes, and only when no page before it waits to be given out: what was read
 * before is committed, and the next attempt begins with the page that failed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "http/auth.h"
#include "http/feed.h"
#include "http/retry.h"
#include "http/unpack.h"
#include "miscadmin.h"
#include "net/redirect.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* What a fetch brings at most: bytes, and time after which what has come is given out. */
#define MOST_BYTES (8 * 1024 * 1024)
#define LONGEST_FETCH (5 * USECS_PER_SEC)

/* Bytes that all pages in memory may have, as far as sizes are known in advance. */
#define MEMORY_BYTES (32 * 1024 * 1024)

#define LONGEST_NAP 200

/* What is ready to be given out, and what is under way. */
typedef struct Stock
{
	int ready;
	int open;
	int64 records;
	size_t bytes;
} Stock;

/* count_stock goes through the pages. */
static Stock
count_stock(const EtlHttpFeed *feed)
{
	Stock stock = {0};
	ListCell *lc;

	foreach (lc, feed->pages)
	{
		EtlHttpPage *page = lfirst(lc);

		stock.bytes += page->result.length;
		if (page->state != ETL_HTTP_READY)
			stock.open++;
		else
		{
			stock.ready++;
			stock.records += page->document.n;
		}
	}
	return stock;
}

/* get_token asks for a token where there is none; a failure is that of the page that needs it. */
static char *
get_token(EtlHttpFeed *feed, EtlHttpPage *page)
{
	char *token = etl_http_auth_token(feed->table);
	EtlTransferRequest request;
	EtlTransferResult result;
	int delay;

	if (token != NULL)
		return token;
	etl_http_auth_ask(feed->table, &request);
	etl_transfer_perform(&request, &result);
	if (etl_http_retry_judge(feed->table, &request, &result, ETL_HTTP_MOST_TRIES, true, &delay, &page->failure) ==
		ETL_HTTP_GOOD)
		page->failure = etl_http_auth_keep(feed->table, &result);
	else if (page->failure->sqlstate == ERRCODE_FDW_ERROR)
		page->failure->sqlstate = ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
	return page->failure == NULL ? etl_http_auth_token(feed->table) : NULL;
}

/* add_condition asks only for what has changed since the last complete read, if that took one page. */
static void
add_condition(EtlHttpFeed *feed, EtlHttpPage *page)
{
	EtlTransferRequest *request = &page->request;

	if (feed->etag == NULL && feed->last_modified == NULL)
		return;
	page->conditional = true;
	if (feed->etag != NULL)
		request->header.name[request->header.n++] = psprintf("If-None-Match: %s", feed->etag);
	else
		request->header.name[request->header.n++] = psprintf("If-Modified-Since: %s", feed->last_modified);
}

/* build makes the request for a page. False: the page has failed. Nothing secret goes to another host. */
static bool
build(EtlHttpFeed *feed, EtlHttpPage *page)
{
	const EtlHttpTable *table = feed->table;

	etl_http_request_build(table, &feed->bounds, feed->parents, &page->position, &page->request);
	if (etl_redirect_is_same(page->request.url, table->base_url))
	{
		char *token = table->auth == ETL_HTTP_OAUTH2 ? get_token(feed, page) : NULL;

		if (page->failure != NULL)
			return false;
		etl_http_auth_add(table, token, &page->request);
	}
	if (feed->n_pages == 0 && page->position.parent == 0 && page->position.cursor == NULL)
		add_condition(feed, page);
	page->built = true;
	return true;
}

/* send sends the request for a page. */
static void
send_page(EtlHttpFeed *feed, EtlHttpPage *page)
{
	MemoryContext old = MemoryContextSwitchTo(page->context);

	if (page->built || build(feed, page))
	{
		etl_transfer_add(feed->set, &page->request, page);
		page->tries++;
		page->state = ETL_HTTP_SENT;
	}
	else
		page->state = ETL_HTTP_ANSWERED;
	MemoryContextSwitchTo(old);
}

/* send_due sends what may be sent now, and returns the ms until something else may. */
static int
send_due(EtlHttpFeed *feed)
{
	TimestampTz now = GetCurrentTimestamp();
	int left = LONGEST_NAP;
	ListCell *lc;

	foreach (lc, feed->pages)
	{
		EtlHttpPage *page = lfirst(lc);
		int wait;

		if (page->state != ETL_HTTP_WAITING)
			continue;
		if (page->due > now)
		{
			left = Min(left, (int) ((page->due - now) / 1000) + 1);
			continue;
		}
		wait = etl_http_rate_take(&feed->rate);
		if (wait > 0)
			return Min(left, wait);
		send_page(feed, page);
	}
	return left;
}

/* judge decides what becomes of a page that was answered. In its memory context. */
static void
judge(EtlHttpFeed *feed, EtlHttpPage *page)
{
	EtlTransferRequest next;
	int delay;

	if (etl_redirect_follow(&page->request, &page->result, &next))
	{
		if (++page->redirects > feed->table->max_redirects)
			etl_redirect_refuse_more(&page->request, feed->table->max_redirects);
		page->request = next;
		page->state = ETL_HTTP_WAITING;
		return;
	}
	page->state = ETL_HTTP_ANSWERED;
	switch (etl_http_retry_judge(feed->table, &page->request, &page->result, page->tries, page->renewed, &delay,
								 &page->failure))
	{
		case ETL_HTTP_GOOD:
		case ETL_HTTP_FAILED:
			break;
		case ETL_HTTP_AGAIN:
			page->state = ETL_HTTP_WAITING;
			page->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
			break;
		case ETL_HTTP_RENEW:
			etl_http_auth_forget(feed->table);
			page->renewed = true;
			page->built = false;
			page->state = ETL_HTTP_WAITING;
			break;
	}
}

/* take_answer waits for an answer up to so many ms. */
static void
take_answer(EtlHttpFeed *feed, int timeout)
{
	MemoryContext arrival;
	MemoryContext old;
	EtlTransferResult result;
	EtlHttpPage *page;

	if (etl_transfer_count(feed->set) == 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Max(timeout, 1), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		return;
	}
	arrival = AllocSetContextCreate(feed->base.request.context, "etl http answer", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(arrival);
	if (etl_transfer_next(feed->set, timeout, &result))
	{
		page = result.tag;
		MemoryContextSetParent(arrival, page->context);
		(void) MemoryContextSwitchTo(page->context);
		page->result = result;
		feed->largest = Max(feed->largest, result.length);
		judge(feed, page);
		(void) MemoryContextSwitchTo(old);
		/* What is asked again is not needed any more. */
		if (page->state == ETL_HTTP_WAITING)
		{
			memset(&page->result, 0, sizeof(page->result));
			MemoryContextDelete(arrival);
		}
		return;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(arrival);
}

/* refuse makes the failure of an answer that is good for HTTP, but not for us. */
static EtlHttpFailure *
refuse(EtlHttpFeed *feed, EtlHttpPage *page, const char *message, const char *detail, const char *hint)
{
	EtlHttpFailure *failure = palloc0(sizeof(EtlHttpFailure));

	failure->sqlstate = ERRCODE_FDW_ERROR;
	failure->message = message;
	failure->detail = psprintf("%s The request was %s.", etl_http_table_redact(feed->table, detail),
							   etl_http_request_show(feed->table, page->request.url));
	failure->hint = hint;
	return failure;
}

/* read_answer reads the document of a page. */
static EtlHttpFailure *
read_answer(EtlHttpFeed *feed, EtlHttpPage *page)
{
	EtlHttpFailure *failure = NULL;
	char *error;

	page->unchanged = page->result.status == 304;
	if (page->unchanged && !page->conditional)
		return refuse(feed, page, "an API answered 304 without having been asked what is new",
					  "There is no answer to be read.", NULL);
	if (page->unchanged || page->result.status == 204)
		return NULL;
	if (feed->table->format != ETL_HTTP_JSON && !page->result.framed)
		return refuse(feed, page, "an API does not say where its answer ends",
					  "There is neither a Content-Length nor are there chunks, so that lines may be missing.",
					  "Ask for format json, or over another version of HTTP.");
	failure = etl_http_unpack(feed->table, &page->result);
	feed->largest = Max(feed->largest, page->result.length);
	if (failure == NULL)
		failure = etl_http_document_read(feed->reader, page->result.answer, page->result.length, &page->document);
	if (failure != NULL)
	{
		failure->detail = psprintf("%s The request was %s.", failure->detail,
								   etl_http_request_show(feed->table, page->request.url));
		return failure;
	}
	error = etl_http_document_error(feed->reader, &page->document);
	if (error != NULL)
		return refuse(feed, page, "an API reports an error", psprintf("It says: %s.", pnstrdup(error, 300)), NULL);
	return NULL;
}

/* skip_committed passes over the records that an earlier attempt has committed, if they are still the same. */
static void
skip_committed(EtlHttpFeed *feed, EtlHttpPage *page)
{
	char *hash = psprintf(UINT64_FORMAT, page->document.hash);

	if (feed->is_resumed && feed->progress.page_hash != NULL && strcmp(hash, feed->progress.page_hash) == 0)
		page->skip = (int) Min(feed->progress.record, page->document.n);
	feed->is_resumed = false;
}

/* may_begin_anew: an API that has forgotten the page where an earlier attempt stopped is read from the beginning. */
static bool
may_begin_anew(EtlHttpFeed *feed, const EtlHttpPage *page)
{
	int status = page->result.status;

	if (!feed->is_resumed || !page->result.ok || (status != 400 && status != 404 && status != 410 && status != 422))
		return false;
	while (feed->pages != NIL)
		etl_http_walk_drop(feed, linitial(feed->pages));
	feed->is_resumed = false;
	etl_http_walk_begin(feed);
	return true;
}

/* look looks at answers whose turn has come. True: something has changed. */
static bool
look(EtlHttpFeed *feed)
{
	ListCell *lc;

	foreach (lc, feed->pages)
	{
		EtlHttpPage *page = lfirst(lc);
		MemoryContext old;

		if (page->state == ETL_HTTP_READY)
			continue;
		if (page->state != ETL_HTTP_ANSWERED)
			return false;
		if (page->failure != NULL && may_begin_anew(feed, page))
			return true;
		old = MemoryContextSwitchTo(page->context);
		if (page->failure == NULL)
			page->failure = read_answer(feed, page);
		if (page->failure == NULL)
			page->failure = etl_http_walk_look(feed, page);
		MemoryContextSwitchTo(old);
		if (page->failure != NULL)
			return false;
		skip_committed(feed, page);
		page->state = ETL_HTTP_READY;
		/* The list may be another one now. */
		return true;
	}
	return false;
}

/* failure_of returns the failure of the page whose turn it is, or NULL. */
static const EtlHttpFailure *
failure_of(const EtlHttpFeed *feed)
{
	ListCell *lc;

	foreach (lc, feed->pages)
	{
		const EtlHttpPage *page = lfirst(lc);

		if (page->state != ETL_HTTP_READY)
			return page->state == ETL_HTTP_ANSWERED ? page->failure : NULL;
	}
	return NULL;
}

/* check_time refuses to go on for too long. */
static void
check_time(const EtlHttpFeed *feed)
{
	if (TimestampDifferenceExceeds(feed->started, GetCurrentTimestamp(), feed->table->max_time))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("an API takes longer than max_time"),
						errdetail("%d pages were read in %d s.", feed->n_pages, feed->table->max_time / 1000),
						errhint("Set max_time on the server; the next run goes on where this one stopped.")));
}

/* ask adds pages as long as there is room for them. */
static void
ask(EtlHttpFeed *feed)
{
	for (;;)
	{
		Stock stock = count_stock(feed);

		if (stock.open > 0 && stock.bytes + (stock.open + 1) * feed->largest > MEMORY_BYTES)
			return;
		if (etl_http_walk_ask(feed) == NULL)
			return;
	}
}

/* etl_http_fetch brings pages. */
void
etl_http_fetch(EtlHttpFeed *feed)
{
	TimestampTz began = GetCurrentTimestamp();
	bool in_hurry = feed->base.request.task == NULL;

	if (count_stock(feed).ready > 0)
		return;
	if (feed->set == NULL)
		feed->set = etl_transfer_open();
	for (;;)
	{
		Stock stock;
		bool enough;
		int nap;

		CHECK_FOR_INTERRUPTS();
		check_time(feed);
		while (look(feed))
			CHECK_FOR_INTERRUPTS();
		stock = count_stock(feed);
		if (failure_of(feed) != NULL)
		{
			if (stock.ready > 0)
				return;
			etl_http_failure_raise(failure_of(feed));
		}
		enough = stock.ready > 0 &&
				 (in_hurry || stock.bytes >= MOST_BYTES || stock.records >= feed->base.request.max_rows ||
				  GetCurrentTimestamp() - began > LONGEST_FETCH);
		if (enough && (in_hurry || stock.open == 0))
			return;
		if (!enough)
			ask(feed);
		if (feed->pages == NIL || count_stock(feed).open == 0)
			return;
		nap = send_due(feed);
		if (failure_of(feed) == NULL)
			take_answer(feed, nap);
	}
}
