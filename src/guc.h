/* guc.h: settings of etl_ext; each variable has the name of its setting. */
#ifndef ETL_GUC_H
#define ETL_GUC_H

extern int etl_chunk_rows;		/* etl.chunk_rows, rows */
extern int etl_max_workers;		/* etl.max_workers, processes per database */
extern bool etl_launcher;		/* etl.launcher */
extern int etl_compare_rows;	/* etl.compare_rows, rows */
extern int etl_writer_wait;		/* etl.writer_wait, ms */
extern char *etl_allowed_hosts; /* etl.allowed_hosts, see net/address.h */
extern char *etl_http_proxy;	/* etl.http_proxy; empty: none */
extern char *etl_tls_ca_file;	/* etl.tls_ca_file; empty: the system's */

extern void etl_guc_init(void);

#endif /* ETL_GUC_H */
