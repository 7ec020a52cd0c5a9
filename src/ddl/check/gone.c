/*-------------------------------------------------------------------------
 *
 * gone.c
 *	  Views, sources and key queries of contracts that were dropped.
 *
 * A migration may drop a view and create it anew: PostgreSQL lets nobody change the
 * type of a view's column. The contract then follows the name. Whether the new view
 * gives what the old one gave is judged like any other change.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "ddl/check/check_private.h"

typedef struct Gone
{
	const OutboxContractConfig *config;
	const List *names;
} Gone;

static bool follow_version(const OutboxContractConfig *version, const List *names);
static void raise_gone(void *arg);
static const OutboxFormerName *name_of(const List *names, Oid relation);
static char *quoted_name(const List *names, Oid relation);

/* The names of these relations, in CurrentMemoryContext. */
List *
OutboxFormerNames(const List *relations)
{
	List *names = NIL;
	ListCell *lc;

	foreach (lc, relations)
	{
		OutboxFormerName *name;

		if (get_rel_relkind(lfirst_oid(lc)) == '\0')
			continue;
		name = palloc(sizeof(OutboxFormerName));
		name->relation = lfirst_oid(lc);
		name->schema = get_namespace_name(get_rel_namespace(lfirst_oid(lc)));
		name->name = get_rel_name(lfirst_oid(lc));
		names = lappend(names, name);
	}
	return names;
}

/*
 * When a view of the contract is gone and another one has its name: that is its view
 * from now on. True: so it is. Writes; uses SPI.
 */
bool
OutboxFollowView(const OutboxContractConfig *config, const List *names)
{
	bool pushed = OutboxEnsureSnapshot();
	bool followed = false;
	ListCell *lc;

	foreach (lc, config->versions)
		followed |= follow_version(lfirst(lc), names);
	if (pushed)
		PopActiveSnapshot();
	CommandCounterIncrement();
	return followed;
}

static bool
follow_version(const OutboxContractConfig *version, const List *names)
{
	const OutboxFormerName *former = name_of(names, version->view);
	Oid schema = former ? get_namespace_oid(former->schema, true) : InvalidOid;
	Oid view = OidIsValid(schema) ? get_relname_relid(former->name, schema) : InvalidOid;
	const char *args[] = {psprintf("%d", version->id), psprintf("%u", version->view), psprintf("%u", view)};

	if (get_rel_relkind(version->view) != '\0' || !OidIsValid(view) || get_rel_relkind(view) != RELKIND_VIEW)
		return false;
	(void) OutboxExecute("UPDATE outbox_internal.contract_version SET view = $3::oid WHERE contract_id = $1::int AND view = $2::oid",
						 lengthof(args), args);
	return true;
}

/* The error for a contract of which something is gone, in CurrentMemoryContext. */
ErrorData *
OutboxGoneError(const OutboxContractConfig *config, const List *names)
{
	Gone gone = {.config = config, .names = names};

	return OutboxCatchAndUndo(raise_gone, &gone, CurrentMemoryContext);
}

static void
raise_gone(void *arg)
{
	const Gone *gone = arg;
	const OutboxContractConfig *config = gone->config;
	const char *contract = quote_literal_cstr(config->name);
	ListCell *lc;

	foreach (lc, config->sources)
	{
		Oid source = ((OutboxSourceConfig *) lfirst(lc))->relation;

		if (get_rel_relkind(source) == '\0')
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("cannot drop table %s because contract \"%s\" publishes its changes", quoted_name(gone->names, source), config->name),
					 errhint("SELECT outbox.drop_contract(%s); in the transaction that drops it.", contract)));
	}
	foreach (lc, config->versions)
	{
		const OutboxContractConfig *version = lfirst(lc);

		if (version->state == OUTBOX_VERSION_ACTIVE && get_rel_relkind(version->view) == '\0')
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("cannot drop view %s because contract \"%s\" publishes it", quoted_name(gone->names, version->view), config->name),
					 errhint("Create it again in this transaction, or SELECT outbox.drop_contract(%s); in it, or let the view step aside around an upgrade: SELECT outbox.detach(%s);",
							 contract, quote_literal_cstr(OutboxQualifiedName(config->root)))));
	}
	foreach (lc, config->sources)
	{
		const OutboxSourceConfig *source = lfirst(lc);

		if (!source->is_root && get_rel_relkind(source->key_view) == '\0')
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("cannot drop the key_query of source %s because contract \"%s\" needs it", OutboxQualifiedName(source->relation), config->name),
					 errdetail("It goes with an object that it names, by CASCADE."),
					 errhint("Give it another one in this transaction: SELECT outbox.add_source(%s, %s, key_query => '...');",
							 contract, quote_literal_cstr(OutboxQualifiedName(source->relation)))));
	}
}

static const OutboxFormerName *
name_of(const List *names, Oid relation)
{
	ListCell *lc;

	foreach (lc, names)
	{
		if (((OutboxFormerName *) lfirst(lc))->relation == relation)
			return lfirst(lc);
	}
	return NULL;
}

static char *
quoted_name(const List *names, Oid relation)
{
	const OutboxFormerName *name = name_of(names, relation);

	return name ? quote_qualified_identifier(name->schema, name->name) : psprintf("with oid %u", relation);
}
