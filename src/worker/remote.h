/* remote.h: what can be done about a connection to another server from outside of the library that holds it. */
#ifndef ETL_WORKER_REMOTE_H
#define ETL_WORKER_REMOTE_H

/* Cuts all connections that this worker has to other servers; may be called in a signal handler. */
extern void etl_remote_cut(void);

#endif /* ETL_WORKER_REMOTE_H */
