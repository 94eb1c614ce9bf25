/*
 * glob.c
 *		Patterns of paths. See glob.h.
 */
#include "postgres.h"

#include "file/glob.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

/* in_class says whether a character is in the class that begins behind "["; *pattern is moved behind its "]". */
static bool
in_class(const char **pattern, char c)
{
	const char *p = *pattern;
	bool negated = *p == '!' || *p == '^';
	bool found = false;

	if (negated)
		p++;
	for (bool first = true; *p && (*p != ']' || first); first = false)
	{
		unsigned char from = *p++;
		unsigned char to = from;

		if (*p == '-' && p[1] && p[1] != ']')
		{
			to = p[1];
			p += 2;
		}
		found |= (unsigned char) c >= from && (unsigned char) c <= to;
	}
	*pattern = *p ? p + 1 : p;
	return found != negated && c != '/';
}

/* etl_glob_matches goes back to the last star where it has to. */
bool
etl_glob_matches(const char *pattern, const char *path)
{
	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	for (; *pattern; path++)
	{
		if (*pattern == '*')
		{
			bool any = pattern[1] == '*';

			pattern += any ? 2 : 1;
			/* "**" followed by "/" also stands for no directory at all. */
			if (any && *pattern == '/' && etl_glob_matches(pattern + 1, path))
				return true;
			for (;; path++)
			{
				if (etl_glob_matches(pattern, path))
					return true;
				if (*path == '\0' || (*path == '/' && !any))
					return false;
			}
		}
		if (*path == '\0')
			return false;
		if (*pattern == '[')
		{
			pattern++;
			if (!in_class(&pattern, *path))
				return false;
			continue;
		}
		if (*pattern == '\\' && pattern[1])
			pattern++;
		else if (*pattern == '?' && *path != '/')
		{
			pattern++;
			/* A character, which may have more than one byte. */
			for (int n = pg_mblen(path); n > 1 && path[1]; n--)
				path++;
			continue;
		}
		if (*pattern++ != *path)
			return false;
	}
	return *path == '\0';
}
