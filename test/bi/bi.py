"""What a BI tool does through psqlODBC. Arguments: driver, host, port, database, user. Prints the same lines as Bi.java."""
import sys

import pyodbc

driver, host, port, database, user = sys.argv[1:]
c = pyodbc.connect(f"Driver={driver};Server={host};Port={port};Database={database};Uid={user};Pwd=x", autocommit=True)
# psqlODBC 13 leaves REMARKS empty, so that the comments are asked for.
TABLE = "SELECT obj_description(CAST(? AS regclass), 'pg_class')"
COLUMN = "SELECT col_description(CAST(? AS regclass), CAST(? AS int))"
for r in c.cursor().tables(schema="dw").fetchall():
    remarks = c.cursor().execute(TABLE, f"dw.{r.table_name}").fetchone()[0]
    print(f"table {r.table_name}: " + remarks.replace("\n", " "))
for r in c.cursor().columns(table="sales", schema="dw").fetchall():
    remarks = c.cursor().execute(COLUMN, "dw.sales", r.ordinal_position).fetchone()[0]
    print(f"column {r.column_name}: {remarks}")
for r in c.cursor().execute("SELECT id, amount FROM dw.sales ORDER BY id"):
    print("row", r[0], r[1])
for r in c.cursor().execute("SELECT target, last_success_at, stale FROM etl.freshness ORDER BY target"):
    print("fresh", r[0], str(r[1] is not None).lower(), str(r[2] in (True, "1", "t")).lower())
for t in ("raw.sales", "etl.task", "etl.pipeline", "etl.quarantine", "etl.run", "etl.audit_log"):
    try:
        print(t, c.cursor().execute("SELECT count(*) FROM " + t).fetchone()[0])
    except pyodbc.Error as e:
        print(t, e.args[0])
for t in ("DELETE FROM dw.sales", "SELECT etl.run_pipeline('shop')", "SELECT etl.create_pipeline('x')"):
    try:
        c.cursor().execute(t).fetchall()
        print(t, "was not refused")
    except pyodbc.Error as e:
        print(t, e.args[0])
