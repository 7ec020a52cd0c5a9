/*-------------------------------------------------------------------------
 *
 * sink_of_none.c
 *	  A library of the server that is no sink.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;
