/*-------------------------------------------------------------------------
 *
 * look.c
 *	  What is wrong with a contract now.
 *
 * A contract is looked at before the first command that may break it, and again at
 * the end of the transaction. Each aspect is looked at by itself: what was wrong
 * before is no reason to refuse anything, and does not hide the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "capture/transition/transition.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "contract/keys/keys.h"
#include "contract/prove/prove.h"
#include "ddl/check/check_private.h"

static void look(OutboxContractLook *look);
static ErrorData *no_time(void);
static void load_step(void *arg);
static bool is_gone(const OutboxContractConfig *config);
static void each_version(const OutboxContractLook *look, void (*step)(OutboxContractConfig *version));
static void key_step(void *arg);
static void prove_key(OutboxContractConfig *version);
static void compile(OutboxContractConfig *version);
static void check_fills(OutboxContractConfig *version);
static void check_reads(OutboxContractConfig *version);
static void works_step(void *arg);
static void fills_step(void *arg);
static void reads_step(void *arg);
static OutboxAspectState state_of(OutboxAspect aspect, const ErrorData *error);

/*
 * Looks at the contract of that name, as long as the transaction has time for it.
 * Raises the errors that are not ours to swallow (guard.c). Allocates in
 * CurrentMemoryContext.
 */
void
OutboxLookAtContract(OutboxContractLook *request)
{
	bool expired;

	if (!OutboxCheckBegin())
	{
		for (OutboxAspect aspect = 0; aspect < OUTBOX_ASPECTS; aspect++)
		{
			request->states[aspect] = OUTBOX_ASPECT_UNSEEN;
			request->errors[aspect] = no_time();
		}
		return;
	}
	PG_TRY();
	{
		look(request);
	}
	PG_CATCH();
	{
		OutboxCommitGuardForget();
		PG_RE_THROW();
	}
	PG_END_TRY();
	expired = OutboxCommitGuardExpired();
	OutboxCheckEnd();
	for (OutboxAspect aspect = 0; expired && aspect < OUTBOX_ASPECTS; aspect++)
	{
		if (request->states[aspect] == OUTBOX_ASPECT_UNSEEN)
			request->errors[aspect] = no_time();
	}
}

static void
look(OutboxContractLook *look)
{
	static const OutboxGuardedStep steps[OUTBOX_ASPECTS] = {
		[OUTBOX_ASPECT_KEY] = key_step, [OUTBOX_ASPECT_WORKS] = works_step, [OUTBOX_ASPECT_FILLS] = fills_step, [OUTBOX_ASPECT_READS] = reads_step};
	ErrorData *error = OutboxCommitGuardRun(load_step, look, CurrentMemoryContext);

	for (OutboxAspect aspect = 0; aspect < OUTBOX_ASPECTS; aspect++)
	{
		look->errors[aspect] = error;
		look->states[aspect] = error ? OUTBOX_ASPECT_UNSEEN : OUTBOX_ASPECT_MOOT;
		if (error || look->config == NULL || look->gone)
			continue;
		look->errors[aspect] = OutboxCommitGuardRun(steps[aspect], look, CurrentMemoryContext);
		look->states[aspect] = state_of(aspect, look->errors[aspect]);
	}
	if (error)
		look->config = NULL;
}

static ErrorData *
no_time(void)
{
	ErrorData *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = ERRCODE_QUERY_CANCELED;
	error->message = pstrdup("the looks of this transaction take longer than outbox.ddl_check_timeout");
	return error;
}

/* Only a live contract is judged, by a library that knows its tables. */
static void
load_step(void *arg)
{
	OutboxContractLook *look = arg;
	OutboxContractConfig *config;

	OutboxRequireVersion();
	config = OutboxContractLoad(look->name);
	look->config = config && config->enabled && !config->detached && !config->restoring ? config : NULL;
	look->gone = look->config && is_gone(config);
}

static bool
is_gone(const OutboxContractConfig *config)
{
	ListCell *lc;

	foreach (lc, config->versions)
	{
		const OutboxContractConfig *version = lfirst(lc);

		if (version->state == OUTBOX_VERSION_ACTIVE && get_rel_relkind(version->view) == '\0')
			return true;
	}
	foreach (lc, config->sources)
	{
		const OutboxSourceConfig *source = lfirst(lc);

		if (get_rel_relkind(source->relation) == '\0' || (!source->is_root && get_rel_relkind(source->key_view) == '\0'))
			return true;
	}
	return false;
}

/* A step for each active version: the others are not captured. */
static void
each_version(const OutboxContractLook *look, void (*step)(OutboxContractConfig *version))
{
	bool pushed = OutboxEnsureSnapshot();
	ListCell *lc;

	foreach (lc, look->config->versions)
	{
		if (((OutboxContractConfig *) lfirst(lc))->state == OUTBOX_VERSION_ACTIVE)
			step(lfirst(lc));
	}
	if (pushed)
		PopActiveSnapshot();
}

static void
key_step(void *arg)
{
	each_version(arg, prove_key);
}

static void
prove_key(OutboxContractConfig *version)
{
	OutboxProveContractKey(version);
}

/* The whole contract must compile as capture will compile it. */
static void
works_step(void *arg)
{
	OutboxContractConfig *config = ((OutboxContractLook *) arg)->config;
	bool pushed = OutboxEnsureSnapshot();
	ListCell *lc;

	each_version(arg, compile);
	foreach (lc, config->at_commit ? config->sources : NIL)
		(void) OutboxCompileTouch(config, ((OutboxSourceConfig *) lfirst(lc))->relation);
	if (pushed)
		PopActiveSnapshot();
}

static void
compile(OutboxContractConfig *version)
{
	OutboxFreeContract(OutboxCompileContract(version, version->root, false));
}

static void
fills_step(void *arg)
{
	each_version(arg, check_fills);
}

static void
check_fills(OutboxContractConfig *version)
{
	OutboxCheckFills(version);
}

static void
reads_step(void *arg)
{
	each_version(arg, check_reads);
}

static void
check_reads(OutboxContractConfig *version)
{
	OutboxCheckReads(version);
}

static OutboxAspectState
state_of(OutboxAspect aspect, const ErrorData *error)
{
	if (error == NULL)
		return OUTBOX_ASPECT_FINE;
	if (!OutboxIsVerdict(error))
		return OUTBOX_ASPECT_UNSEEN;
	/* what cannot be proven because the contract does not compile is told with that */
	if (aspect == OUTBOX_ASPECT_KEY && error->sqlerrcode != ERRCODE_INVALID_TABLE_DEFINITION)
		return OUTBOX_ASPECT_MOOT;
	return OUTBOX_ASPECT_FAULT;
}
