/* interim.c: empty weak versions of what the headers promise; each goes when the real one comes. */
#include "postgres.h"

#include "fmgr.h"
#include "source/extract_run.h"
#include "source/project.h"
#include "source/remote_page.h"

#define WEAK __attribute__((weak))




