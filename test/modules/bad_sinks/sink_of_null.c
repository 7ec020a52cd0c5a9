/*-------------------------------------------------------------------------
 *
 * sink_of_null.c
 *	  Has the function of a sink, which gives nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "sink/outbox_sink.h"

PG_MODULE_MAGIC;

const OutboxSinkCallbacks *
_PG_outbox_sink_init(void)
{
	return NULL;
}
