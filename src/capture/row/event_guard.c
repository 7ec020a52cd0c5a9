/*-------------------------------------------------------------------------
 *
 * event_guard.c
 *	  outbox.event is written by capture alone.
 *
 * Capture and the keeper use the heap interface, which fires no triggers. A
 * row that came in by SQL would carry a foreign transaction id and be read in
 * the wrong window or never; so INSERT, UPDATE, DELETE and TRUNCATE raise. In
 * a logical replication worker they are skipped instead: an error there would
 * stop the subscription of a publication FOR ALL TABLES.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "replication/logicalworker.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(outbox_refuse_write);

Datum
outbox_refuse_write(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("outbox_internal.refuse_write() was not called as a trigger")));
	if (!IsLogicalWorker())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("\"%s\" is written by capture alone", RelationGetRelationName(trigger->tg_relation)),
				 errdetail("A row written by SQL could not be published in order."),
				 errhint("Change a source of an enabled contract instead.")));
	return PointerGetDatum(NULL);
}
