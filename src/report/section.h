/*
 * section.h
 *		The sections of the page: each appends HTML that stands by itself, and says so in a sentence when there is nothing to show.
 */
#ifndef ETL_SECTION_H
#define ETL_SECTION_H

#include "report/html.h"
#include "report/model.h"

/* A section with a heading and an id, and its end. */
extern void etl_section_begin(StringInfo out, const char *id, const char *title);
extern void etl_section_end(StringInfo out);

/* A box that scrolls by itself, reachable by keyboard; class may add to it. */
extern void etl_section_wide(StringInfo out, const char *class, const char *label);

/* A state in its colour, with its sign and its word; and what the signs mean. */
extern void etl_section_state(StringInfo out, EtlMark mark, const char *word);
extern void etl_section_legend(StringInfo out, const bool *used);

/* The parts. */
extern void etl_last_run_draw(StringInfo out, const EtlModel *model);
extern void etl_last_run_tasks(StringInfo out, const EtlModel *model);
extern void etl_dag_svg_draw(StringInfo out, const EtlModel *model);
extern void etl_gantt_draw(StringInfo out, const EtlModel *model);
extern void etl_grid_draw(StringInfo out, const EtlModel *model);
extern void etl_checks_draw(StringInfo out, const EtlModel *model, int runs);
extern void etl_freshness_draw(StringInfo out, const EtlModel *model);
extern void etl_freshness_problems(StringInfo out, const EtlModel *model);
extern void etl_spending_draw(StringInfo out, const EtlModel *model);

#endif /* ETL_SECTION_H */
