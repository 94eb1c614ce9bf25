/*
 * scan.c
 *		Finds records in the text of a JSON document. See scan.h.
 *
 * Whether a record is JSON is left to who reads it. That the document is complete is seen here: all brackets and strings are
 * closed, and nothing comes behind.
 */
#include "postgres.h"

#include "http/scan.h"
#include "miscadmin.h"

#define IS_SPACE(c) ((c) == ' ' || (c) == '\t' || (c) == '\n' || (c) == '\r')

/* take_name reads a name of a path, with or without quotes; NULL: it is none. */
static char *
take_name(const char **path)
{
	const char *start = *path;
	size_t length;

	if (*start == '"')
	{
		start++;
		length = strcspn(start, "\"\\");
		if (start[length] != '"' || length == 0)
			return NULL;
		*path = start + length + 1;
		return pnstrdup(start, length);
	}
	length = strspn(start, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	*path = start + length;
	return length > 0 && (*start < '0' || *start > '9') ? pnstrdup(start, length) : NULL;
}

/* etl_http_scan_steps reads a path. */
EtlHttpSteps *
etl_http_scan_steps(const char *path)
{
	EtlHttpSteps *steps = palloc0(sizeof(EtlHttpSteps));

	steps->name = palloc(sizeof(char *) * (strlen(path) + 1));
	if (strncmp(path, "lax ", 4) == 0)
	{
		steps->is_lax = true;
		path += 4;
	}
	path += strspn(path, " ");
	if (*path++ != '$')
		return NULL;
	while (*path == '.')
	{
		char *name;

		path++;
		name = take_name(&path);
		if (name == NULL)
			return NULL;
		steps->name[steps->n++] = name;
	}
	if (strcmp(path, "[*]") == 0)
		steps->each = true;
	else if (*path != '\0')
		return NULL;
	return steps;
}

/* skip_space moves to what is not white. */
static void
skip_space(EtlHttpScan *scan)
{
	while (scan->position < scan->length && IS_SPACE(scan->text[scan->position]))
		scan->position++;
}

/* skip_string moves behind a string, which begins here; false: it does not end. */
static bool
skip_string(EtlHttpScan *scan)
{
	for (scan->position++; scan->position < scan->length; scan->position++)
	{
		char c = scan->text[scan->position];

		if (c == '\\')
			scan->position++;
		else if (c == '"')
		{
			scan->position++;
			return true;
		}
	}
	return false;
}

/* skip_value moves behind the value that begins here. */
static EtlHttpScanResult
skip_value(EtlHttpScan *scan)
{
	size_t start = scan->position;
	int depth = 0;

	while (scan->position < scan->length)
	{
		char c = scan->text[scan->position];

		if (c == '"')
		{
			if (!skip_string(scan))
				return ETL_HTTP_SCAN_EARLY;
			if (depth == 0)
				return ETL_HTTP_SCAN_FOUND;
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		else if (depth > 0 && (c == '}' || c == ']'))
			depth--;
		else if (depth == 0 && (c == ',' || c == '}' || c == ']' || IS_SPACE(c)))
			return scan->position > start ? ETL_HTTP_SCAN_FOUND : ETL_HTTP_SCAN_BAD;
		scan->position++;
		if (depth == 0 && (c == '}' || c == ']'))
			return ETL_HTTP_SCAN_FOUND;
	}
	return depth == 0 && scan->position > start ? ETL_HTTP_SCAN_FOUND : ETL_HTTP_SCAN_EARLY;
}

/* enter_field moves to the value of a field of the object that begins here. */
static EtlHttpScanResult
enter_field(EtlHttpScan *scan, const char *name)
{
	size_t length = strlen(name);

	skip_space(scan);
	if (scan->position >= scan->length || scan->text[scan->position] != '{')
		return ETL_HTTP_SCAN_MISSING;
	scan->position++;
	for (;;)
	{
		size_t start;
		bool same;
		EtlHttpScanResult result;

		CHECK_FOR_INTERRUPTS();
		skip_space(scan);
		if (scan->position >= scan->length)
			return ETL_HTTP_SCAN_EARLY;
		if (scan->text[scan->position] == '}')
			return ETL_HTTP_SCAN_MISSING;
		if (scan->text[scan->position] != '"')
			return ETL_HTTP_SCAN_BAD;
		start = scan->position + 1;
		if (!skip_string(scan))
			return ETL_HTTP_SCAN_EARLY;
		same = scan->position - 1 - start == length && memcmp(scan->text + start, name, length) == 0;
		skip_space(scan);
		if (scan->position >= scan->length)
			return ETL_HTTP_SCAN_EARLY;
		if (scan->text[scan->position++] != ':')
			return ETL_HTTP_SCAN_BAD;
		skip_space(scan);
		if (same)
			return ETL_HTTP_SCAN_FOUND;
		result = skip_value(scan);
		if (result != ETL_HTTP_SCAN_FOUND)
			return result;
		skip_space(scan);
		if (scan->position < scan->length && scan->text[scan->position] == ',')
			scan->position++;
	}
}

/* keep_record notes a record. */
static void
keep_record(EtlHttpScan *scan, size_t start, size_t end)
{
	if (scan->n == scan->room)
	{
		scan->room = scan->room > 0 ? scan->room * 2 : 1024;
		scan->record = scan->record ? repalloc_huge(scan->record, sizeof(char *) * scan->room)
									: palloc(sizeof(char *) * scan->room);
		scan->record_length = scan->record_length ? repalloc_huge(scan->record_length, sizeof(int) * scan->room)
												  : palloc(sizeof(int) * scan->room);
	}
	scan->record[scan->n] = scan->text + start;
	scan->record_length[scan->n++] = (int) (end - start);
}

/* take_elements notes the elements of the array that begins here, and moves behind it. */
static EtlHttpScanResult
take_elements(EtlHttpScan *scan)
{
	scan->position++;
	for (;;)
	{
		size_t start;
		EtlHttpScanResult result;

		CHECK_FOR_INTERRUPTS();
		skip_space(scan);
		if (scan->position >= scan->length)
			return ETL_HTTP_SCAN_EARLY;
		if (scan->text[scan->position] == ']' && scan->n == 0)
			break;
		start = scan->position;
		result = skip_value(scan);
		if (result != ETL_HTTP_SCAN_FOUND)
			return result;
		/* What is no value at all (nonsense without quotes) goes on to the comma. */
		skip_space(scan);
		while (scan->position < scan->length && scan->text[scan->position] != ',' && scan->text[scan->position] != ']')
		{
			result = skip_value(scan);
			if (result != ETL_HTTP_SCAN_FOUND)
				return result;
			skip_space(scan);
		}
		if (scan->position >= scan->length)
			return ETL_HTTP_SCAN_EARLY;
		keep_record(scan, start, scan->position);
		if (scan->text[scan->position] == ']')
			break;
		scan->position++;
	}
	scan->position++;
	return ETL_HTTP_SCAN_FOUND;
}

/* check_whole says whether the document is complete and alone. */
static EtlHttpScanResult
check_whole(EtlHttpScan *scan)
{
	EtlHttpScanResult result;

	scan->position = 0;
	skip_space(scan);
	if (scan->position >= scan->length)
		return ETL_HTTP_SCAN_EARLY;
	result = skip_value(scan);
	if (result != ETL_HTTP_SCAN_FOUND)
		return result;
	skip_space(scan);
	return scan->position == scan->length ? ETL_HTTP_SCAN_FOUND : ETL_HTTP_SCAN_BAD;
}

/* cut_out makes the envelope: the document without what is between two positions. */
static void
cut_out(EtlHttpScan *scan, size_t start, size_t end)
{
	size_t rest = scan->length - end;

	scan->envelope = MemoryContextAllocHuge(CurrentMemoryContext, start + rest + 3);
	memcpy(scan->envelope, scan->text, start);
	memcpy(scan->envelope + start, "[]", 2);
	memcpy(scan->envelope + start + 2, scan->text + end, rest);
	scan->envelope[start + rest + 2] = '\0';
}

/* is_null says whether null stands here. */
static bool
is_null(const EtlHttpScan *scan)
{
	return scan->length - scan->position >= 4 && memcmp(scan->text + scan->position, "null", 4) == 0;
}

/* etl_http_scan finds the records. */
EtlHttpScanResult
etl_http_scan(EtlHttpScan *scan, bool any_shape)
{
	EtlHttpScanResult result = check_whole(scan);
	size_t start;

	scan->position = result == ETL_HTTP_SCAN_FOUND ? 0 : scan->position;
	for (int i = 0; i < scan->steps->n && result == ETL_HTTP_SCAN_FOUND; i++)
		result = enter_field(scan, scan->steps->name[i]);
	if (result == ETL_HTTP_SCAN_MISSING && scan->steps->is_lax)
	{
		cut_out(scan, scan->length, scan->length);
		scan->envelope[scan->length] = '\0';
		return ETL_HTTP_SCAN_FOUND;
	}
	if (result != ETL_HTTP_SCAN_FOUND)
		return result;
	skip_space(scan);
	start = scan->position;
	if (scan->text[start] == '[' && scan->steps->each)
		result = take_elements(scan);
	else if (scan->steps->each && !any_shape && !scan->steps->is_lax && !is_null(scan))
		return ETL_HTTP_SCAN_MISSING;
	else
	{
		bool nothing = is_null(scan);

		result = skip_value(scan);
		if (result == ETL_HTTP_SCAN_FOUND && !nothing)
			keep_record(scan, start, scan->position);
	}
	/* The one record that is the whole document may also say what the next page is. */
	if (result == ETL_HTTP_SCAN_FOUND && (scan->steps->n > 0 || scan->text[start] == '['))
		cut_out(scan, start, scan->position);
	return result;
}
