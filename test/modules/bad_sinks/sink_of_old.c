/*-------------------------------------------------------------------------
 *
 * sink_of_old.c
 *	  Built with an earlier interface: behind the magic nothing is as it is now.
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
	static const uint32 former = OUTBOX_SINK_MAGIC - 1;

	return (const OutboxSinkCallbacks *) &former;
}
