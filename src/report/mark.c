/*
 * mark.c
 *		How states are shown. See mark.h.
 *
 * The fills are told apart with every kind of colour vision (blue, bluish green, orange, vermilion and greys of different
 * lightness), and the text on each has a contrast of at least 4.5. The page has its own in style.c, for light and dark.
 */
#include "postgres.h"

#include "report/mark.h"

const EtlMarkLook etl_mark_look[ETL_MARKS] = {
	[ETL_MARK_NONE] = {"none", "n", "", "not in the run", "#ffffff", "#1b1f24"},
	[ETL_MARK_SUCCESS] = {"success", "s", "✓", "success", "#0b7a5b", "#ffffff"},
	[ETL_MARK_WARNING] = {"warning", "w", "!", "warning", "#eba900", "#1b1f24"},
	[ETL_MARK_FAILED] = {"failed", "f", "×", "failed", "#b53a0a", "#ffffff"},
	[ETL_MARK_UPSTREAM_FAILED] = {"upstream_failed", "u", "↑", "what it depends on failed", "#f6cdb8", "#1b1f24"},
	[ETL_MARK_SKIPPED] = {"skipped", "k", "–", "skipped", "#d5dae1", "#1b1f24"},
	[ETL_MARK_CANCELLED] = {"cancelled", "c", "○", "cancelled", "#d39bbf", "#1b1f24"},
	[ETL_MARK_RUNNING] = {"running", "r", "▶", "running", "#0b5fb0", "#ffffff"},
	[ETL_MARK_RETRY] = {"retry", "y", "↻", "waits for a retry", "#8cc8f0", "#1b1f24"},
	[ETL_MARK_WAITING] = {"waiting", "q", "…", "waiting", "#eef1f4", "#1b1f24"},
};

/* etl_mark_state looks the state up by its name. */
EtlMark
etl_mark_state(const char *state)
{
	if (state == NULL)
		return ETL_MARK_NONE;
	if (strcmp(state, "ready") == 0 || strcmp(state, "queued") == 0)
		return ETL_MARK_WAITING;
	for (int i = 0; i < ETL_MARKS; i++)
		if (strcmp(etl_mark_look[i].name, state) == 0)
			return (EtlMark) i;
	return ETL_MARK_NONE;
}

/* etl_mark_check maps the results of checks. */
EtlMark
etl_mark_check(const char *state)
{
	if (state == NULL)
		return ETL_MARK_NONE;
	if (strcmp(state, "pass") == 0)
		return ETL_MARK_SUCCESS;
	if (strcmp(state, "warn") == 0)
		return ETL_MARK_WARNING;
	if (strcmp(state, "not_evaluated") == 0)
		return ETL_MARK_SKIPPED;
	return ETL_MARK_FAILED;
}
