/*
 * diagram.h
 *		The graph of a pipeline as text of other tools: a flowchart of Mermaid, a digraph of Graphviz. Pure.
 */
#ifndef ETL_DIAGRAM_H
#define ETL_DIAGRAM_H

#include "report/model.h"

extern void etl_diagram_mermaid(StringInfo out, const EtlModel *model);
extern void etl_diagram_dot(StringInfo out, const EtlModel *model);

#endif /* ETL_DIAGRAM_H */
