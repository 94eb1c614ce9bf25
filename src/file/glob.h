/*
 * glob.h
 *		Patterns of paths. Pure.
 */
#ifndef ETL_GLOB_H
#define ETL_GLOB_H

/*
 * Whether a path matches: * stands for anything but "/", ** for anything, ? for one character but "/", [a-z] and [!a-z] for one
 * of a range (or none of it), \ takes the next character as it is. In bytes.
 */
extern bool etl_glob_matches(const char *pattern, const char *path);

#endif /* ETL_GLOB_H */
