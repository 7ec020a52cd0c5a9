/*-------------------------------------------------------------------------
 *
 * version_check.c
 *	  What a new version of a contract must keep of the versions before it.
 *
 * The event types with their conditions, checks and previous columns are the
 * contract's: a new view has to have the columns that they read, or the version
 * gets texts of its own for them. The key and the message key must have the same
 * values, because all versions of a row are one row for consumers that move from
 * one version to the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/compile/compile.h"
#include "contract/history/history.h"
#include "contract/prove/prove.h"
#include "contract/view/view.h"

/* A version that is checked, and what is looked at now. */
typedef struct VersionCheck
{
	OutboxContractConfig *draft;
	const OutboxContractConfig *former; /* what it takes the place of, or is published beside */
	OutboxEventTypeConfig *type;
	const char *text; /* a condition or check */
	const char *name; /* of a check */
	StringInfoData details;
	StringInfoData hints;
	int sqlerrcode;
} VersionCheck;

static void view_step(void *arg);
static void key_step(void *arg);
static bool same_column(const VersionCheck *check, const char *name);
static Node *base_of(const OutboxContractConfig *config, const char *name, Oid *relation);
static void event_type_step(void *arg);
static void try_text(VersionCheck *check, OutboxGuardedStep step, const char *what);
static void condition_step(void *arg);
static void rule_step(void *arg);
static void try_previous(VersionCheck *check);
static void topic_step(void *arg);
static void compatible_step(void *arg);
static List *violations_of(const OutboxContractConfig *draft);

/* Raises one error with everything that keeps a draft from being published. */
void
OutboxCheckDraft(OutboxContractConfig *draft, const OutboxContractConfig *former)
{
	VersionCheck check = {.draft = draft, .former = former};
	OutboxFaultList faults = {0};
	ListCell *lc;

	if (OutboxTryCheck(&faults, view_step, &check))
		(void) OutboxTryCheck(&faults, key_step, &check);
	foreach (lc, draft->event_types)
	{
		check.type = lfirst(lc);
		if (check.type->omitted)
			continue;
		if (OutboxTryCheck(&faults, event_type_step, &check) && draft->line != former->line)
			(void) OutboxTryCheck(&faults, topic_step, &check);
	}
	if (faults.errors == NIL && draft->line == former->line)
		(void) OutboxTryCheck(&faults, compatible_step, &check);
	OutboxRaiseFaults(&faults, psprintf("version %d of contract \"%s\"", draft->version, draft->name));
}

/* Raises when the view cannot be the one of a further version: all that create_contract() checks, and the same way to evaluate it. */
void
OutboxCheckVersionView(OutboxContractConfig *draft, const OutboxContractConfig *former)
{
	VersionCheck check = {.draft = draft, .former = former};

	view_step(&check);
	key_step(&check);
}

static void
view_step(void *arg)
{
	VersionCheck *check = arg;
	OutboxContractConfig view = *check->draft; /* as of a contract that is created, so that errors name the view alone */
	const char *evaluate = check->former->at_commit ? "commit" : "row";
	List *key_columns;

	view.id = 0;
	OutboxCheckContractView(&view, &evaluate, &key_columns);
}

/* The lookup key finds the row of every version, and the message key says that they are the same row. */
static void
key_step(void *arg)
{
	VersionCheck *check = arg;
	OutboxEvaluation evaluation;
	const char *differs = NULL;
	ListCell *lc;

	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(check->draft->view), OUTBOX_COMPILING);
	foreach (lc, check->draft->key)
	{
		if (!differs && !same_column(check, lfirst(lc)))
			differs = lfirst(lc);
	}
	foreach (lc, check->draft->aggregate_id)
	{
		if (!differs && !same_column(check, lfirst(lc)))
			differs = lfirst(lc);
	}
	OutboxEvaluationEnd(&evaluation);
	if (differs)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version %d of contract \"%s\" has another key: column \"%s\" is computed in another way", check->draft->version, check->draft->name, differs),
				 errdetail("Key and aggregate_id have the same values in all versions of a contract, by which consumers move from one to the next."),
				 errhint("Let the view \"%s\" compute the column as \"%s\" does. Another key is another contract: SELECT outbox.create_contract(...);",
						 get_rel_name(check->draft->view), get_rel_name(check->former->view))));
}

/* Is the column of both views the same expression over the same table? An expression over several tables is not compared. */
static bool
same_column(const VersionCheck *check, const char *name)
{
	Oid tables[2] = {InvalidOid, InvalidOid};
	Node *former = base_of(check->former, name, &tables[0]);
	Node *draft = base_of(check->draft, name, &tables[1]);

	if (check->draft->view == check->former->view)
		return true;
	return tables[0] == tables[1] && equal(former, draft) &&
		get_atttype(check->former->view, get_attnum(check->former->view, name)) == get_atttype(check->draft->view, get_attnum(check->draft->view, name));
}

/* The expression behind a column of the version's view, over one table; NULL: over none or several. */
static Node *
base_of(const OutboxContractConfig *config, const char *name, Oid *relation)
{
	Query *query = OutboxRewrittenView(config->view);
	TargetEntry *entry = get_tle_by_resno(query->targetList, get_attnum(config->view, name));
	RangeTblEntry *rte;
	int varno;
	Node *base = entry ? OutboxBaseExpression(query, copyObject((Node *) entry->expr), &rte, &varno) : NULL;

	if (base == NULL)
		return NULL;
	*relation = rte->relid;
	if (varno != OUTBOX_ROOT_VARNO)
		ChangeVarNodes(base, varno, OUTBOX_ROOT_VARNO, 0);
	return base;
}

/* Raises when the event type's texts do not fit the view: one error for all of them. */
static void
event_type_step(void *arg)
{
	VersionCheck *check = arg;
	const char *type = quote_literal_cstr(check->type->name);
	ListCell *lc;

	initStringInfo(&check->details);
	initStringInfo(&check->hints);
	check->text = check->type->condition;
	if (check->text)
	{
		try_text(check, condition_step, "condition");
		if (check->details.len)
			appendStringInfo(&check->hints, "SELECT outbox.alter_event_type(%s, version => %d, condition => ...);", type, check->draft->version);
	}
	foreach (lc, check->type->checks)
	{
		const OutboxCheckConfig *rule = lfirst(lc);
		int before = check->details.len;

		check->text = rule->expression;
		check->name = rule->name;
		try_text(check, rule_step, psprintf("check \"%s\"", rule->name));
		if (check->details.len > before)
			appendStringInfo(&check->hints, "%sSELECT outbox.drop_check(%s, %s); and outbox.add_check(%s, %s, %s, versions => '{%d}'); in one transaction.",
							 check->hints.len ? " " : "", type, quote_literal_cstr(rule->name), type, quote_literal_cstr(rule->name),
							 quote_literal_cstr(rule->expression), check->former->version);
	}
	try_previous(check);
	if (check->details.len == 0)
		return;
	ereport(ERROR,
			(errcode(check->sqlerrcode),
			 errmsg("version %d of contract \"%s\" cannot take over event type \"%s\"", check->draft->version, check->draft->name, check->type->name),
			 errdetail_internal("%s", check->details.data),
			 errhint("%s", check->hints.data)));
}

static void
try_text(VersionCheck *check, OutboxGuardedStep step, const char *what)
{
	ErrorData *error = OutboxRunGuarded(step, check, CurrentMemoryContext);

	if (error == NULL)
		return;
	check->sqlerrcode = error->sqlerrcode;
	appendStringInfo(&check->details, "%sIts %s does not fit the view \"%s\": %s.", check->details.len ? " " : "", what,
					 get_rel_name(check->draft->view), error->message);
}

static void
condition_step(void *arg)
{
	VersionCheck *check = arg;

	(void) OutboxParseCondition(check->text, check->draft->view, psprintf("condition of event type \"%s\"", check->type->name), false);
}

static void
rule_step(void *arg)
{
	VersionCheck *check = arg;

	(void) OutboxParseCheck(check->text, check->draft->view, psprintf("check \"%s\" of event type \"%s\"", check->name, check->type->name), false);
}

static void
try_previous(VersionCheck *check)
{
	ListCell *lc;

	foreach (lc, check->type->previous)
	{
		if (get_attnum(check->draft->view, lfirst(lc)) > 0)
			continue;
		check->sqlerrcode = ERRCODE_UNDEFINED_COLUMN;
		appendStringInfo(&check->details, "%sIts \"previous\" names column \"%s\", which the view \"%s\" does not have.",
						 check->details.len ? " " : "", (char *) lfirst(lc), get_rel_name(check->draft->view));
		if (strstr(check->hints.data, "previous =>") == NULL)
			appendStringInfo(&check->hints, "%sSELECT outbox.alter_event_type(%s, version => %d, previous => '{...}');",
							 check->hints.len ? " " : "", quote_literal_cstr(check->type->name), check->draft->version);
	}
}

/* A version that is published beside others needs topics that nobody else writes to. */
static void
topic_step(void *arg)
{
	VersionCheck *check = arg;
	const char *args[] = {check->type->topic, psprintf("%d", check->draft->id), psprintf("%d", check->draft->line)};
	char *other;
	ListCell *lc;

	foreach (lc, check->draft->versions)
	{
		const OutboxContractConfig *version = lfirst(lc);
		ListCell *type;

		foreach (type, version->line == check->draft->line ? NIL : version->event_types)
		{
			if (strcmp(((OutboxEventTypeConfig *) lfirst(type))->topic, check->type->topic) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("versions %d and %d of contract \"%s\" would share the topic \"%s\"", version->version, check->draft->version, check->draft->name, check->type->topic),
						 errdetail("Consumers that do not filter would read every change twice, and a tombstone would erase both."),
						 errhint("Give version %d another suffix, or the event type another topic: SELECT outbox.alter_event_type(%s, version => %d, topic => ...);",
								 check->draft->version, quote_literal_cstr(check->type->name), check->draft->version)));
		}
	}
	other = OutboxExecute("SELECT name FROM outbox_internal.event_type WHERE topic = $1 AND contract_id <> $2::int AND $3 IS NOT NULL"
						  " UNION ALL SELECT s.event_type FROM outbox_internal.event_schema s JOIN outbox_internal.event_type e ON e.id = s.event_type_id"
						  " JOIN outbox_internal.contract_version v USING (contract_id, version)"
						  " WHERE s.topic = $1 AND v.state = 'active' AND (v.contract_id, v.line) <> ($2::int, $3::int) LIMIT 1",
						  lengthof(args), args);
	if (other)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version %d of contract \"%s\" would share the topic \"%s\" with event type \"%s\"", check->draft->version, check->draft->name, check->type->topic, other),
				 errhint("Choose another suffix: SELECT outbox.drop_version(%s, %d); and outbox.add_version(..., suffix => '...').",
						 quote_literal_cstr(check->draft->name), check->draft->version)));
}

/* A version that takes the place of another one writes what that one's consumers can read. */
static void
compatible_step(void *arg)
{
	VersionCheck *check = arg;

	OutboxRefuseViolations(check->draft, violations_of(check->draft), true);
}

/* Of all event types that the draft has, against what was pinned for their topics. */
static List *
violations_of(const OutboxContractConfig *draft)
{
	List *violations = NIL;
	ListCell *lc;

	foreach (lc, draft->event_types)
	{
		const OutboxEventTypeConfig *type = lfirst(lc);

		if (!type->omitted)
			violations = list_concat(violations, OutboxHistoryViolations(draft, type, OutboxDraftSchema(draft, type), OutboxCompatibility(draft)));
	}
	return violations;
}

/* Could the draft take the place of the former version? Neither raises, nor says why not. */
bool
OutboxVersionIsCompatible(OutboxContractConfig *draft, const OutboxContractConfig *former)
{
	VersionCheck check = {.draft = draft, .former = former};
	OutboxFaultList faults = {0};
	ListCell *lc;

	foreach (lc, draft->event_types)
	{
		check.type = lfirst(lc);
		if (!check.type->omitted)
			(void) OutboxTryCheck(&faults, event_type_step, &check);
	}
	return faults.errors == NIL && OutboxTryCheck(&faults, compatible_step, &check);
}
