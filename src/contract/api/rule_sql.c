/*-------------------------------------------------------------------------
 *
 * rule_sql.c
 *	  outbox.add_check(), outbox.drop_check(), outbox.create_code_map(),
 *	  outbox.drop_code_map().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "catalog/outbox_catalog.h"
#include "contract/api/api_private.h"
#include "contract/view/view.h"

PG_FUNCTION_INFO_V1(outbox_add_check);
PG_FUNCTION_INFO_V1(outbox_drop_check);
PG_FUNCTION_INFO_V1(outbox_create_code_map);
PG_FUNCTION_INFO_V1(outbox_drop_code_map);

#define MAX_CHECK_NAME 63

static OutboxEventTypeConfig *get_event_type(const char *name, OutboxContractConfig **contract);
static char *version_numbers(const List *versions);
static char **find_check(const OutboxEventTypeConfig *type, const char *name);
static void replace_map(const char *name, const char *codes);
static void check_codes(const char *map, Jsonb *codes);
static void check_owner(const char *map, const char *former, const char *id);

/* add_check(event_type, name, expression, versions) */
Datum
outbox_add_check(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *contract;
	OutboxEventTypeConfig *type = get_event_type(OutboxRequiredTextArg(fcinfo, 0, "event_type"), &contract);
	char *name = OutboxRequiredTextArg(fcinfo, 1, "name");
	char *expression = OutboxRequiredTextArg(fcinfo, 2, "expression");
	List *versions = OutboxVersionsArg(fcinfo, 3, contract);
	const char *args[] = {psprintf("%d", type->id), name, expression, NULL};
	char **existing;
	ListCell *lc;

	OutboxCheckName("check", name, MAX_CHECK_NAME);
	OutboxCheckVersionsRights(versions);
	if (versions != contract->versions)
		args[3] = version_numbers(versions);
	existing = find_check(type, name);
	if (existing && !OutboxOrReplaceArg(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("event type \"%s\" already has a check \"%s\"", type->name, name),
				 errhint("Choose another name; or, with or_replace => true, the call changes the check.")));
	if (existing && strcmp(existing[0], expression) == 0 && OutboxSameText(existing[1], args[3]))
		PG_RETURN_VOID();
	foreach (lc, versions)
		(void) OutboxParseCheck(expression, ((OutboxContractConfig *) lfirst(lc))->view,
								psprintf("check \"%s\" of event type \"%s\"", name, type->name), false);
	(void) OutboxExecute("INSERT INTO outbox_internal.check_rule (event_type_id, name, expression, versions) VALUES ($1::int, $2, $3, $4::int[])"
						 " ON CONFLICT (event_type_id, name) DO UPDATE SET expression = $3, versions = $4::int[]",
						 lengthof(args), args);
	PG_RETURN_VOID();
}

/* drop_check(event_type, name) */
Datum
outbox_drop_check(PG_FUNCTION_ARGS)
{
	OutboxContractConfig *contract;
	OutboxEventTypeConfig *type = get_event_type(OutboxRequiredTextArg(fcinfo, 0, "event_type"), &contract);
	char *name = OutboxRequiredTextArg(fcinfo, 1, "name");
	const char *args[] = {psprintf("%d", type->id), name};

	OutboxCheckContractRights(contract->view, contract->root);
	if (find_check(type, name) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("event type \"%s\" has no check \"%s\"", type->name, name),
				 errhint("SELECT name, checks FROM outbox.event_types lists the checks.")));
	(void) OutboxExecute("DELETE FROM outbox_internal.check_rule WHERE event_type_id = $1::int AND name = $2",
						 lengthof(args), args);
	PG_RETURN_VOID();
}

/* create_code_map(name, codes) */
Datum
outbox_create_code_map(PG_FUNCTION_ARGS)
{
	char *name = OutboxRequiredTextArg(fcinfo, 0, "name");
	const char *args[] = {name, NULL, GetUserNameFromId(GetUserId(), false), OutboxRoleId(GetUserId())};
	Jsonb *codes;

	OutboxRequireArg(fcinfo, 1, "codes");
	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("the name of a code map must not be empty")));
	codes = PG_GETARG_JSONB_P(1);
	check_codes(name, codes);
	args[1] = JsonbToCString(NULL, &codes->root, VARSIZE(codes));
	if (OutboxExecute("SELECT name FROM outbox_internal.code_map WHERE name = $1 LIMIT 1", 1, args) == NULL)
		(void) OutboxExecute("INSERT INTO outbox_internal.code_map (name, code, word, owner, owner_id) SELECT $1, key, value, $3::name, $4 FROM jsonb_each_text($2::jsonb)",
							 lengthof(args), args);
	else if (OutboxOrReplaceArg(fcinfo))
		replace_map(name, args[1]);
	else
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("code map \"%s\" already exists", name),
				 errhint("Choose another name; or, with or_replace => true, the call changes the codes.")));
	PG_RETURN_VOID();
}

/* Gives a map other codes, and leaves it to whom it belongs. Nothing is written where it has them already. */
static void
replace_map(const char *name, const char *codes)
{
	const char *args[] = {name, codes};
	List *rows = OutboxExecuteRows("SELECT min(owner), min(owner_id) FROM outbox_internal.code_map WHERE name = $1"
								   " HAVING jsonb_object_agg(code, word) <> $2::jsonb",
								   lengthof(args), args);
	char **owner = rows == NIL ? NULL : linitial(rows);

	if (owner == NULL)
		return;
	check_owner(name, owner[0], owner[1]);
	args[1] = codes;
	(void) OutboxExecute("INSERT INTO outbox_internal.code_map AS m (name, code, word, owner, owner_id)"
						 " SELECT $1, key, value, o.owner, o.owner_id FROM jsonb_each_text($2::jsonb),"
						 " (SELECT owner, owner_id FROM outbox_internal.code_map WHERE name = $1 LIMIT 1) o"
						 " ON CONFLICT (name, code) DO UPDATE SET word = excluded.word WHERE m.word <> excluded.word",
						 lengthof(args), args);
	(void) OutboxExecute("DELETE FROM outbox_internal.code_map WHERE name = $1 AND NOT $2::jsonb ? code", lengthof(args), args);
}

/* drop_code_map(name) */
Datum
outbox_drop_code_map(PG_FUNCTION_ARGS)
{
	char *name = OutboxRequiredTextArg(fcinfo, 0, "name");
	const char *args[] = {name};
	List *rows = OutboxExecuteRows("SELECT owner, owner_id FROM outbox_internal.code_map WHERE name = $1 LIMIT 1", lengthof(args), args);
	char **owner = rows == NIL ? NULL : linitial(rows);

	if (owner == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("code map \"%s\" does not exist", name),
				 errhint("SELECT DISTINCT name FROM outbox.code_map lists the code maps.")));
	check_owner(name, owner[0], owner[1]);
	(void) OutboxExecute("WITH gone AS (DELETE FROM outbox_internal.code_map WHERE name = $1 RETURNING 1) SELECT 1 FROM gone LIMIT 1",
						 lengthof(args), args);
	PG_RETURN_VOID();
}

/*
 * Raises unless the caller has the rights of the map's owner. A map is part of every contract that names it: another
 * admin must not change the events of these.
 */
static void
check_owner(const char *map, const char *former, const char *id)
{
	char *owner = OutboxRoleName(former, id);

	if (owner ? has_privs_of_role(GetUserId(), get_role_oid(owner, false)) : superuser())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("must be owner of code map \"%s\"", map),
			 errdetail("It belongs to role \"%s\".", owner ? owner : former),
			 owner ? errhint("Let a member of that role do it: GRANT %s TO %s;", quote_identifier(owner), quote_identifier(GetUserNameFromId(GetUserId(), false)))
				   : errhint("That role does not exist any more: a superuser can drop and create the map.")));
}

static OutboxEventTypeConfig *
get_event_type(const char *name, OutboxContractConfig **contract)
{
	*contract = OutboxContractOfEventType(name);
	return OutboxContractEventType(*contract, name);
}

/* The numbers of versions as an int[]. */
static char *
version_numbers(const List *versions)
{
	StringInfoData numbers;
	ListCell *lc;

	initStringInfo(&numbers);
	foreach (lc, versions)
		appendStringInfo(&numbers, "%c%d", numbers.len ? ',' : '{', ((OutboxContractConfig *) lfirst(lc))->version);
	appendStringInfoChar(&numbers, '}');
	return numbers.data;
}

/* Expression and versions of a check, whichever versions it is of; NULL: there is none of that name. */
static char **
find_check(const OutboxEventTypeConfig *type, const char *name)
{
	const char *args[] = {psprintf("%d", type->id), name};
	List *rows = OutboxExecuteRows("SELECT expression, versions FROM outbox_internal.check_rule WHERE event_type_id = $1::int AND name = $2", lengthof(args), args);

	return rows ? linitial(rows) : NULL;
}

/* Raises unless the codes are an object of strings that is not empty. */
static void
check_codes(const char *map, Jsonb *codes)
{
	JsonbIterator *iterator = JsonbIteratorInit(&codes->root);
	JsonbValue value;
	JsonbIteratorToken token;
	bool strings = JB_ROOT_IS_OBJECT(codes) && JB_ROOT_COUNT(codes) > 0;

	while (strings && (token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_VALUE && value.type != jbvString)
			strings = false;
	}
	if (!strings)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the codes of code map \"%s\" are not an object of strings", map),
				 errhint("Write codes and words as {\"N\": \"PLACED\", \"S\": \"SHIPPED\"}.")));
}
