/*-------------------------------------------------------------------------
 *
 * live_contracts.c
 *	  What live contracts rest on, as far as their configuration says.
 *
 * Every DDL command of the database asks for it, so it is kept until the
 * configuration changes. It is read with heap scans: roles without any right on our
 * tables run DDL, too. Columns are found by name, because an older script may have
 * made the tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "ddl/check/check_private.h"

/* A contract while the tables are read. */
typedef struct Draft
{
	OutboxLiveContract contract;
	bool enabled;
	bool active;
	bool detached;
	Oid root;
	List *children;    /* OIDs */
	List *event_types; /* ids */
	StringInfoData texts;
} Draft;

typedef struct Row
{
	Relation rel;
	HeapTuple tuple;
} Row;

typedef void (*TakeRow)(const Row *row, List **drafts);

static List *live = NIL; /* in `kept` */
static MemoryContext kept = NULL;
static bool valid = false;
static uint64 revision = 0;
static Oid configuration = InvalidOid; /* outbox_internal.contract, whose invalidation outdates all */

static void read_all(void);
static void scan(const char *table, TakeRow take, List **drafts, Snapshot snapshot);
static void take_contract(const Row *row, List **drafts);
static void take_version(const Row *row, List **drafts);
static void take_source(const Row *row, List **drafts);
static void take_event_type(const Row *row, List **drafts);
static void take_check(const Row *row, List **drafts);
static int compare_drafts(const ListCell *a, const ListCell *b);
static Draft *draft_of(const List *drafts, int32 id);
static Datum column(const Row *row, const char *name, bool *isnull);
static int32 number(const Row *row, const char *name);
static Oid oid(const Row *row, const char *name);
static char *string(const Row *row, const char *name);
static void relation_changed(Datum arg, Oid relation);

/* The live contracts: of OutboxLiveContract *, valid until the next call. May raise. */
const List *
OutboxLiveContracts(void)
{
	static bool registered = false;

	if (!registered)
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	registered = true;
	if (!valid)
		read_all();
	return live;
}

/* Another number whenever the contracts may be others than before. May raise. */
uint64
OutboxLiveRevision(void)
{
	(void) OutboxLiveContracts();
	return revision;
}

/* Is that the number of what is known now, and nothing has changed since? Never raises. */
bool
OutboxLiveIsStill(uint64 known)
{
	return valid && known == revision;
}

/* Is any source of a live contract one of these? May raise. */
bool
OutboxAnyLiveSource(bool (*is_one)(Oid source))
{
	ListCell *contract;
	ListCell *source;

	foreach (contract, OutboxLiveContracts())
	{
		foreach (source, ((const OutboxLiveContract *) lfirst(contract))->relations)
		{
			if (is_one(lfirst_oid(source)))
				return true;
		}
	}
	return false;
}

static void
read_all(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "outbox live contracts", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	List *drafts = NIL;
	List *found = NIL;
	ListCell *lc;

	/* a change from here on makes it invalid again */
	configuration = OutboxRelationOid("contract");
	valid = true;
	PG_TRY();
	{
		scan("contract", take_contract, &drafts, snapshot);
		scan("contract_version", take_version, &drafts, snapshot);
		scan("source", take_source, &drafts, snapshot);
		scan("event_type", take_event_type, &drafts, snapshot);
		scan("check_rule", take_check, &drafts, snapshot);
	}
	PG_CATCH();
	{
		/* what is kept from before is not what there is now */
		valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	UnregisterSnapshot(snapshot);
	/* of several faults the one that is told first is always the same */
	list_sort(drafts, compare_drafts);
	foreach (lc, drafts)
	{
		Draft *draft = lfirst(lc);

		if (!draft->enabled || draft->detached || !draft->active)
			continue;
		draft->contract.relations = lcons_oid(draft->root, draft->children);
		draft->contract.texts = draft->texts.data;
		found = lappend(found, &draft->contract);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, CacheMemoryContext);
	if (kept)
		MemoryContextDelete(kept);
	kept = context;
	live = found;
	revision++;
}

static int
compare_drafts(const ListCell *a, const ListCell *b)
{
	int32 left = ((const Draft *) lfirst(a))->contract.id;
	int32 right = ((const Draft *) lfirst(b))->contract.id;

	return left < right ? -1 : left > right;
}

static void
scan(const char *table, TakeRow take, List **drafts, Snapshot snapshot)
{
	Row row = {.rel = table_open(OutboxRelationOid(table), AccessShareLock)};
	SysScanDesc scan = systable_beginscan(row.rel, InvalidOid, false, snapshot, 0, NULL);

	while (HeapTupleIsValid(row.tuple = systable_getnext(scan)))
		take(&row, drafts);
	systable_endscan(scan);
	table_close(row.rel, AccessShareLock);
}

static void
take_contract(const Row *row, List **drafts)
{
	Draft *draft = palloc0(sizeof(Draft));
	bool isnull;

	draft->contract.id = number(row, "id");
	draft->contract.name = string(row, "name");
	draft->enabled = DatumGetBool(column(row, "enabled", &isnull));
	initStringInfo(&draft->texts);
	*drafts = lappend(*drafts, draft);
}

/* Active versions are captured. */
static void
take_version(const Row *row, List **drafts)
{
	Draft *draft = draft_of(*drafts, number(row, "contract_id"));

	if (draft == NULL || strcmp(string(row, "state"), "active") != 0)
		return;
	draft->active = true;
	draft->detached |= string(row, "detached_view") != NULL;
	draft->contract.views = lappend_oid(draft->contract.views, oid(row, "view"));
}

static void
take_source(const Row *row, List **drafts)
{
	Draft *draft = draft_of(*drafts, number(row, "contract_id"));

	if (draft == NULL)
		return;
	if (strcmp(string(row, "role"), "root") == 0)
		draft->root = oid(row, "relation");
	else
	{
		draft->children = lappend_oid(draft->children, oid(row, "relation"));
		draft->contract.views = lappend_oid(draft->contract.views, oid(row, "key_view"));
	}
}

static void
take_event_type(const Row *row, List **drafts)
{
	Draft *draft = draft_of(*drafts, number(row, "contract_id"));
	char *condition = string(row, "condition");

	if (draft == NULL)
		return;
	draft->event_types = lappend_int(draft->event_types, number(row, "id"));
	if (condition)
		appendStringInfo(&draft->texts, "%s\n", condition);
}

static void
take_check(const Row *row, List **drafts)
{
	int32 event_type = number(row, "event_type_id");
	ListCell *lc;

	foreach (lc, *drafts)
	{
		Draft *draft = lfirst(lc);

		if (list_member_int(draft->event_types, event_type))
			appendStringInfo(&draft->texts, "%s\n", string(row, "expression"));
	}
}

static Draft *
draft_of(const List *drafts, int32 id)
{
	ListCell *lc;

	foreach (lc, drafts)
	{
		if (((Draft *) lfirst(lc))->contract.id == id)
			return lfirst(lc);
	}
	return NULL;
}

static Datum
column(const Row *row, const char *name, bool *isnull)
{
	AttrNumber attno = get_attnum(RelationGetRelid(row->rel), name);

	*isnull = true;
	return attno == InvalidAttrNumber ? (Datum) 0 : heap_getattr(row->tuple, attno, RelationGetDescr(row->rel), isnull);
}

static int32
number(const Row *row, const char *name)
{
	bool isnull;
	Datum value = column(row, name, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

static Oid
oid(const Row *row, const char *name)
{
	bool isnull;
	Datum value = column(row, name, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

/* NULL for NULL. */
static char *
string(const Row *row, const char *name)
{
	bool isnull;
	Datum value = column(row, name, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static void
relation_changed(Datum arg, Oid relation)
{
	if (!OidIsValid(relation) || relation == configuration)
		valid = false;
}
