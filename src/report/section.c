/*
 * section.c
 *		What the sections of the page have in common. See section.h.
 */
#include "postgres.h"

#include "report/section.h"

/* etl_section_begin opens it. */
void
etl_section_begin(StringInfo out, const char *id, const char *title)
{
	appendStringInfo(out, "<section id=\"%s\" aria-labelledby=\"h-%s\"><h2 id=\"h-%s\">%s</h2>\n", id, id, id, title);
}

/* etl_section_end closes it. */
void
etl_section_end(StringInfo out)
{
	appendStringInfoString(out, "</section>\n");
}

/* etl_section_wide opens a div. */
void
etl_section_wide(StringInfo out, const char *class, const char *label)
{
	appendStringInfo(out, "<div class=\"wide%s%s\" role=\"region\" tabindex=\"0\" aria-label=\"%s\">",
					 *class ? " " : "", class, label);
}

/* etl_section_state appends a span; word NULL: that of the state. */
void
etl_section_state(StringInfo out, EtlMark mark, const char *word)
{
	const EtlMarkLook *look = &etl_mark_look[mark];

	appendStringInfo(out, "<span class=\"state %s\">%s%s%s</span>", look->css, look->sign, *look->sign ? " " : "",
					 word ? word : look->meaning);
}

/* etl_section_legend lists the marks that are used. */
void
etl_section_legend(StringInfo out, const bool *used)
{
	bool any = false;

	for (int i = ETL_MARK_SUCCESS; i < ETL_MARKS; i++)
		any |= used[i];
	if (!any)
		return;
	appendStringInfoString(out, "<ul class=\"legend\" aria-label=\"What the signs mean\">");
	for (int i = ETL_MARK_SUCCESS; i < ETL_MARKS; i++)
		if (used[i])
			appendStringInfo(out, "<li><span class=\"key %s\" aria-hidden=\"true\">%s</span>%s</li>",
							 etl_mark_look[i].css, etl_mark_look[i].sign, etl_mark_look[i].meaning);
	appendStringInfoString(out, "</ul>\n");
}
