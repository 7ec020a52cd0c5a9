/*-------------------------------------------------------------------------
 *
 * describe.c
 *	  Names an event for people: id, type, key.
 *
 * Only when something is wrong with it, so it is looked up again then instead
 * of being carried along for every message under way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "relay/read/read_private.h"
#include "relay/session/session.h"

/* One line that names the event at this place: id, type, key. Runs a transaction; palloc'd. */
char *
OutboxReaderDescribe(OutboxReader *reader, const OutboxPlace *place)
{
	MemoryContext caller = CurrentMemoryContext;
	char *description = NULL;
	int leaf;

	OutboxSessionBegin();
	leaf = OutboxLeavesFindNumber(&reader->leaves, place->leaf);
	if (leaf >= 0 && OutboxLeavesOpenOne(&reader->leaves, leaf) != NULL)
	{
		Relation rel = reader->leaves.leaf[leaf].relation;
		TupleDesc desc = RelationGetDescr(rel);
		HeapTupleData tuple = {.t_self = place->tid};
		Buffer buffer;
		bool isnull;

		PushActiveSnapshot(GetTransactionSnapshot());
		if (heap_fetch(rel, GetActiveSnapshot(), &tuple, &buffer, false))
		{
			MemoryContext old = MemoryContextSwitchTo(caller);

			if (DatumGetInt64(heap_getattr(&tuple, Anum_event_seq, desc, &isnull)) == place->seq)
				description = psprintf("event %s, type %s, key \"%s\"",
									   DatumGetCString(DirectFunctionCall1(uuid_out, heap_getattr(&tuple, Anum_event_id, desc, &isnull))),
									   TextDatumGetCString(heap_getattr(&tuple, Anum_event_type, desc, &isnull)),
									   TextDatumGetCString(heap_getattr(&tuple, Anum_event_aggregateid, desc, &isnull)));
			MemoryContextSwitchTo(old);
			ReleaseBuffer(buffer);
		}
		PopActiveSnapshot();
	}
	OutboxLeavesClose(&reader->leaves, false);
	OutboxSessionCommit();
	return description != NULL ? description : psprintf("event with seq %lld", (long long) place->seq);
}
