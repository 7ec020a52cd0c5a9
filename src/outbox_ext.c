/*-------------------------------------------------------------------------
 *
 * outbox_ext.c
 *	  Entry point of the library: what runs when it is loaded.
 *
 * Loaded by shared_preload_libraries in production, by the first use of a
 * function otherwise (the trial mode). Every subsystem has its own init.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "capture/commit/flush.h"
#include "capture/row/moved_row.h"
#include "capture/transition/overtaken.h"
#include "capture/write/cost.h"
#include "capture/write/event_writer.h"
#include "contract/environment/evaluation.h"
#include "contract/environment/temp_last.h"
#include "ddl/leaf_rights.h"
#include "ddl/refuse_ddl.h"
#include "guc.h"
#include "letters/redrive/redrive_events.h"
#include "relay/launch/launcher.h"
#include "shared/outbox_shared.h"

PG_MODULE_MAGIC;

extern void _PG_init(void);

void
_PG_init(void)
{
	OutboxDefineSettings();
	OutboxEvaluationInit();
	OutboxLeafRightsInit();
	OutboxTempLastInit();
	OutboxRefuseDdlInit();
	OutboxCostInit();
	OutboxEventWriterInit();
	/* callbacks run in reverse: what is captured at commit still gets written */
	OutboxFlushInit();
	OutboxMovedRowInit();
	OutboxOvertakenInit();
	OutboxKeyEventsInit();
	if (process_shared_preload_libraries_in_progress)
	{
		OutboxSharedInit();
		OutboxLauncherRegister();
	}
}
