/*-------------------------------------------------------------------------
 *
 * judge.c
 *	  Is a contract still what it was before the migration?
 *
 * A fault that was not there before is a verdict: the COMMIT fails, and its error
 * names the contract and the remedy. A fault that was there before is no reason for
 * anything. Where nobody could look, before or now, the migration goes on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "ddl/check/check_private.h"
#include "guc.h"

typedef struct Verdict
{
	const OutboxWatchedContract *watched;
	ErrorData *error;
} Verdict;

typedef struct Follow
{
	const OutboxContractLook *look;
	const List *names;
	bool followed;
} Follow;

static void judge(const OutboxWatchedContract *watched, List **verdicts);
static void follow_step(void *arg);
static void judge_aspects(const OutboxWatchedContract *watched, const OutboxContractLook *look, List **verdicts);
static void add_verdict(List **verdicts, const OutboxWatchedContract *watched, ErrorData *error);
static void make_key_verdict(const OutboxContractConfig *config, ErrorData *error);
static void make_works_verdict(const OutboxContractConfig *config, ErrorData *error);
static void name_command(const OutboxWatchedContract *watched, ErrorData *error);
static char *key_columns(const OutboxContractConfig *config);
OUTBOX_NORETURN static void refuse(const List *verdicts);
static char *with_others(const Verdict *first, const List *verdicts);

/* Judges the contracts at the end of the transaction. Raises one error for all that it breaks, if it shall be refused. */
void
OutboxJudgeContracts(const List *watched)
{
	List *verdicts = NIL;
	ListCell *lc;

	foreach (lc, watched)
		judge(lfirst(lc), &verdicts);
	if (verdicts && outbox_ddl_check == OUTBOX_DDL_CHECK_ENFORCE)
		refuse(verdicts);
	foreach (lc, verdicts)
	{
		const Verdict *verdict = lfirst(lc);

		OutboxTellVerdict(verdict->watched, verdict->error);
		OutboxMarkUnseen(verdict->watched, verdict->error->message);
	}
}

static void
judge(const OutboxWatchedContract *watched, List **verdicts)
{
	OutboxContractLook look = {.name = watched->name};
	Follow follow = {.look = &look, .names = watched->names};
	ErrorData *error = NULL;

	OutboxLookAtContract(&look);
	if (look.gone && watched->gone)
		return;
	if (look.gone)
		error = OutboxCheckBriefly(follow_step, &follow);
	if (error)
	{
		OutboxTellTrouble(watched->command, watched->name, error);
		OutboxMarkUnseen(watched, error->message);
		return;
	}
	if (follow.followed)
	{
		look = (OutboxContractLook){.name = watched->name};
		OutboxLookAtContract(&look);
	}
	/* dropped and created again: the session that enabled it has proven it */
	if (look.config && watched->id != 0 && look.config->id != watched->id)
		return;
	if (look.gone)
		add_verdict(verdicts, watched, OutboxGoneError(look.config, watched->names));
	else
		judge_aspects(watched, &look, verdicts);
}

static void
follow_step(void *arg)
{
	Follow *follow = arg;

	follow->followed = OutboxFollowView(follow->look->config, follow->names);
}

static void
judge_aspects(const OutboxWatchedContract *watched, const OutboxContractLook *look, List **verdicts)
{
	bool unseen = false;

	for (OutboxAspect aspect = 0; aspect < OUTBOX_ASPECTS; aspect++)
	{
		OutboxAspectState before = watched->before[aspect];
		OutboxAspectState after = look->states[aspect];
		ErrorData *error = look->errors[aspect];

		if ((before != OUTBOX_ASPECT_FINE && before != OUTBOX_ASPECT_UNSEEN) || (after != OUTBOX_ASPECT_FAULT && after != OUTBOX_ASPECT_UNSEEN))
			continue;
		if (before == OUTBOX_ASPECT_FINE && after == OUTBOX_ASPECT_FAULT)
		{
			if (aspect == OUTBOX_ASPECT_KEY)
				make_key_verdict(look->config, error);
			else if (aspect == OUTBOX_ASPECT_WORKS)
				make_works_verdict(look->config, error);
			if (aspect != OUTBOX_ASPECT_KEY)
				name_command(watched, error);
			add_verdict(verdicts, watched, error);
			return;
		}
		if (!unseen && after == OUTBOX_ASPECT_UNSEEN)
			OutboxTellTrouble(watched->command, watched->name, error);
		if (!unseen)
			OutboxMarkUnseen(watched, error->message);
		unseen = true;
	}
}

static void
add_verdict(List **verdicts, const OutboxWatchedContract *watched, ErrorData *error)
{
	Verdict *verdict = palloc(sizeof(Verdict));

	verdict->watched = watched;
	verdict->error = error;
	*verdicts = lappend(*verdicts, verdict);
}

/* The error of a key that is not proven any more, with what helps while the contract is live. */
static void
make_key_verdict(const OutboxContractConfig *config, ErrorData *error)
{
	const char *source = OutboxQualifiedName(config->root);

	error->sqlerrcode = ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST;
	error->message = psprintf("contract \"%s\" would give two rows one key: %s", config->name, error->message);
	error->hint = psprintf("Give %s a unique index over the columns behind (%s) as its view reads them, all NOT NULL, in this transaction. Or let the view step aside and create it as the change needs it: SELECT outbox.detach('%s'), the change, the view, SELECT outbox.reattach('%s'). Or switch the contract off: SELECT outbox.disable('%s');",
						   source, key_columns(config), source, source, config->name);
}

/* The error that every change would leave in a dead letter from now on. */
static void
make_works_verdict(const OutboxContractConfig *config, ErrorData *error)
{
	error->message = psprintf("contract \"%s\" would not work any more: %s", config->name, error->message);
	if (error->hint == NULL)
		error->hint = psprintf("Put it right in this transaction. Or let the view step aside around the change: SELECT outbox.detach(%s); or switch the contract off: SELECT outbox.disable(%s);",
							   quote_literal_cstr(OutboxQualifiedName(config->root)), quote_literal_cstr(config->name));
}

/* What is far from the contract, such as a type inside a type, is named. */
static void
name_command(const OutboxWatchedContract *watched, ErrorData *error)
{
	if (watched->object)
		error->detail = psprintf("%s%sThe first command that concerns it is %s (%s).", error->detail ? error->detail : "",
								 error->detail ? "\n" : "", watched->command, watched->object);
}

static char *
key_columns(const OutboxContractConfig *config)
{
	StringInfoData names;
	ListCell *lc;

	initStringInfo(&names);
	foreach (lc, config->key)
		appendStringInfo(&names, "%s%s", names.len ? ", " : "", (char *) lfirst(lc));
	return names.data;
}

static void
refuse(const List *verdicts)
{
	const Verdict *first = linitial(verdicts);
	char *detail = with_others(first, verdicts);

	ereport(ERROR,
			(errcode(first->error->sqlerrcode),
			 errmsg("%s", first->error->message),
			 detail ? errdetail("%s", detail) : 0,
			 first->error->hint ? errhint("%s", first->error->hint) : 0));
}

/* The detail of the first verdict, and what the transaction does to other contracts. NULL: there is nothing to add. */
static char *
with_others(const Verdict *first, const List *verdicts)
{
	StringInfoData detail;
	ListCell *lc;

	initStringInfo(&detail);
	if (first->error->detail)
		appendStringInfoString(&detail, first->error->detail);
	for_each_from(lc, verdicts, 1)
	{
		const Verdict *verdict = lfirst(lc);

		appendStringInfo(&detail, "%sContract \"%s\": %s.", detail.len ? "\n" : "", verdict->watched->name, verdict->error->message);
	}
	return detail.len ? detail.data : NULL;
}
