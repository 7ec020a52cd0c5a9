/*-------------------------------------------------------------------------
 *
 * settings_test.c
 *	  The pinned settings, for tests.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "contract/environment/environment_private.h"

PG_FUNCTION_INFO_V1(outbox_test_pinned);

/* outbox_test_pinned() returns table (name text, value text) */
Datum
outbox_test_pinned(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *name;
	const char *value;
	OutboxTraits traits;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; (name = OutboxPinnedSetting(i, &value, &traits)) != NULL; i++)
	{
		Datum values[] = {CStringGetTextDatum(name), CStringGetTextDatum(value)};
		bool nulls[] = {false, false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
