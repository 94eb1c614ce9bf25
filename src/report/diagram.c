/*
 * diagram.c
 *		The graph of a pipeline as text of other tools. See diagram.h.
 *
 * Nodes are called t and the number of the task, so that names are in labels only. In those of Mermaid everything that is not
 * a letter, a digit, a space or one of _ - . , is a character reference: quotes, markup, Markdown and directives mean nothing.
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"
#include "report/diagram.h"

/* mermaid_text appends text as part of a label. */
static void
mermaid_text(StringInfo out, const char *text)
{
	for (const char *c = text; *c != '\0'; c += pg_mblen(c))
	{
		if (pg_mblen(c) > 1)
			appendBinaryStringInfo(out, c, pg_mblen(c));
		else if (isalnum((unsigned char) *c) || strchr(" _-.,", *c) != NULL)
			appendStringInfoChar(out, *c);
		else if ((unsigned char) *c < 0x20 || *c == 0x7f)
			appendStringInfoChar(out, ' ');
		else
			appendStringInfo(out, "#%d;", *c);
	}
}

/* mermaid_node appends a task. */
static void
mermaid_node(StringInfo out, const EtlModelTask *task, const char *indent)
{
	const EtlMarkLook *look = &etl_mark_look[task->mark];

	appendStringInfo(out, "%st" INT64_FORMAT "[\"%s%s", indent, task->task_id, look->sign, *look->sign ? " " : "");
	mermaid_text(out, task->name);
	appendStringInfo(out, "<br/>%s", task->kind);
	if (task->mark != ETL_MARK_NONE)
		appendStringInfo(out, ", %s", look->name);
	appendStringInfo(out, "\"]:::%s\n", look->name);
}

/* has_publication says whether tasks are published at one commit. */
static bool
has_publication(const EtlModel *model)
{
	for (int i = 0; i < model->n_tasks; i++)
		if (model->task[i].published)
			return true;
	return false;
}

/* is_gate says whether an edge leads from a task to a check that gates it. */
static bool
is_gate(const EtlModel *model, const EtlEdge *edge)
{
	const char *gate = model->task[edge->from].gate;

	return gate != NULL && strcmp(gate, model->task[edge->to].name) == 0;
}

/* etl_diagram_mermaid lists nodes, edges and the classes that are in use. */
void
etl_diagram_mermaid(StringInfo out, const EtlModel *model)
{
	bool used[ETL_MARKS] = {false};

	appendStringInfoString(out, "flowchart LR\n");
	for (int i = 0; i < model->n_tasks; i++)
	{
		const EtlModelTask *task = &model->task[model->layout->order[i]];

		used[task->mark] = true;
		if (!task->published)
			mermaid_node(out, task, "  ");
	}
	if (has_publication(model))
	{
		appendStringInfoString(out, "  subgraph publication [\"published at one commit\"]\n");
		for (int i = 0; i < model->n_tasks; i++)
			if (model->task[model->layout->order[i]].published)
				mermaid_node(out, &model->task[model->layout->order[i]], "    ");
		appendStringInfoString(out, "  end\n");
	}
	for (int i = 0; i < model->graph->n_edges; i++)
	{
		const EtlEdge *edge = &model->graph->edge[i];

		appendStringInfo(out, "  t" INT64_FORMAT " %s t" INT64_FORMAT "\n", model->task[edge->to].task_id,
						 is_gate(model, edge) ? "-. gate .->" : "-->", model->task[edge->from].task_id);
	}
	for (int i = 0; i < ETL_MARKS; i++)
		if (used[i])
			appendStringInfo(out, "  classDef %s fill:%s,color:%s,stroke:#59636e\n", etl_mark_look[i].name,
							 etl_mark_look[i].fill, etl_mark_look[i].text);
}

/* dot_text appends text inside of double quotes. */
static void
dot_text(StringInfo out, const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
	{
		if (*c == '"' || *c == '\\')
			appendStringInfoChar(out, '\\');
		if (*c == '&')
			/* Otherwise Graphviz reads what follows as the name of a character. */
			appendStringInfoString(out, "&amp;");
		else if ((unsigned char) *c < 0x20 || *c == 0x7f)
			appendStringInfoChar(out, ' ');
		else
			appendStringInfoChar(out, *c);
	}
}

/* dot_node appends a task. */
static void
dot_node(StringInfo out, const EtlModelTask *task, const char *indent)
{
	const EtlMarkLook *look = &etl_mark_look[task->mark];

	appendStringInfo(out, "%st" INT64_FORMAT " [label=\"%s%s", indent, task->task_id, look->sign,
					 *look->sign ? " " : "");
	dot_text(out, task->name);
	appendStringInfo(out, "\\n%s", task->kind);
	if (task->mark != ETL_MARK_NONE)
		appendStringInfo(out, ", %s", look->name);
	appendStringInfo(out, "\", class=\"%s\", fillcolor=\"%s\", fontcolor=\"%s\", tooltip=\"", look->name, look->fill,
					 look->text);
	dot_text(out, task->description ? task->description : task->name);
	appendStringInfoString(out, "\"];\n");
}

/* etl_diagram_dot lists nodes and edges. */
void
etl_diagram_dot(StringInfo out, const EtlModel *model)
{
	appendStringInfoString(out, "digraph \"");
	dot_text(out, model->name);
	appendStringInfoString(out,
						   "\" {\n  rankdir=LR;\n"
						   "  node [shape=box, style=\"rounded,filled\", color=\"#59636e\", fontname=\"sans-serif\"];\n"
						   "  edge [color=\"#59636e\", fontname=\"sans-serif\", fontsize=10];\n");
	for (int i = 0; i < model->n_tasks; i++)
		if (!model->task[model->layout->order[i]].published)
			dot_node(out, &model->task[model->layout->order[i]], "  ");
	if (has_publication(model))
	{
		appendStringInfoString(out, "  subgraph cluster_publication {\n    label=\"published at one commit\";\n"
									"    fontname=\"sans-serif\";\n    color=\"#59636e\";\n");
		for (int i = 0; i < model->n_tasks; i++)
			if (model->task[model->layout->order[i]].published)
				dot_node(out, &model->task[model->layout->order[i]], "    ");
		appendStringInfoString(out, "  }\n");
	}
	for (int i = 0; i < model->graph->n_edges; i++)
	{
		const EtlEdge *edge = &model->graph->edge[i];

		appendStringInfo(out, "  t" INT64_FORMAT " -> t" INT64_FORMAT "%s;\n", model->task[edge->to].task_id,
						 model->task[edge->from].task_id,
						 is_gate(model, edge) ? " [style=dashed, label=\"gate\"]" : "");
	}
	appendStringInfoString(out, "}\n");
}
