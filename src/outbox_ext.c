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

#include "capture/commit/commit.h"
#include "capture/row/row.h"
#include "capture/transition/transition.h"
#include "capture/write/write.h"
#include "contract/environment/environment.h"
#include "ddl/ddl.h"
#include "guc.h"
#include "letters/redrive/redrive.h"
#include "relay/launch/launch.h"
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
	OutboxWriterCountersInit();
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
