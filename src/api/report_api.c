/*
 * report_api.c
 *		The SQL functions that draw a pipeline: for a browser, and for other tools.
 */
#include "postgres.h"

#include "api/args.h"
#include "report/diagram.h"
#include "report/page.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(etl_report);
PG_FUNCTION_INFO_V1(etl_graph);

#define MOST_RUNS 1000

/* etl.report(pipeline, runs) RETURNS text */
Datum
etl_report(PG_FUNCTION_ARGS)
{
	char *pipeline = etl_args_required(fcinfo, "pipeline");
	StringInfoData out;
	Datum runs;

	if (!etl_args_find(fcinfo, "runs", &runs))
		runs = Int32GetDatum(90);
	if (DatumGetInt32(runs) < 1 || DatumGetInt32(runs) > MOST_RUNS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("runs is out of range"),
						errdetail("It is %d.", DatumGetInt32(runs)),
						errhint("It is the number of runs in the history, 1 to %d.", MOST_RUNS)));
	initStringInfo(&out);
	etl_page_write(&out, pipeline, DatumGetInt32(runs));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/* etl.graph(pipeline, format, run_id) RETURNS text */
Datum
etl_graph(PG_FUNCTION_ARGS)
{
	char *pipeline = etl_args_required(fcinfo, "pipeline");
	char *format = etl_args_text(fcinfo, "format");
	EtlModelScope scope;
	EtlModel *model;
	StringInfoData out;
	Datum value;
	int64 run_id;
	bool has_run;
	bool dot = format != NULL && strcmp(format, "dot") == 0;

	if (format != NULL && !dot && strcmp(format, "mermaid") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown format \"%s\"", format),
				 errdetail("A graph is written for Mermaid or for Graphviz."), errhint("Use 'mermaid' or 'dot'.")));
	has_run = etl_args_find(fcinfo, "run_id", &value);
	run_id = has_run ? DatumGetInt64(value) : 0;
	initStringInfo(&out);
	etl_model_begin(&scope);
	model = etl_model_pipeline(pipeline);
	etl_model_run(model, has_run ? &run_id : NULL);
	if (dot)
		etl_diagram_dot(&out, model);
	else
		etl_diagram_mermaid(&out, model);
	etl_model_end(&scope);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
