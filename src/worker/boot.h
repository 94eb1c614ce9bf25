/* boot.h: a name for this start of the server, another one after a restart, a crash of a backend, or a promotion. */
#ifndef ETL_BOOT_H
#define ETL_BOOT_H

extern const char *etl_boot_id(void);

/* The same as a number of 31 bits. */
extern uint32 etl_boot_number(void);

#endif /* ETL_BOOT_H */
