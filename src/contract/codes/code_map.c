/*-------------------------------------------------------------------------
 *
 * code_map.c
 *	  Code maps: legacy codes to canonical words.
 *
 * outbox.decode() runs inside contracts, once per row and column. So each map is a
 * hash table of this backend. It is read with a fresh snapshot, because a writer's
 * may be older than the map, and thrown away when outbox_internal.code_map changes.
 *
 * An unknown code becomes NULL and is no error. `required` decides whether that
 * matters. The dead letter then names the unknown codes, which are remembered here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/codes/codes.h"

#define MAX_SHOWN_CODE 64 /* bytes of a code in a message */
#define MAX_SHOWN 512     /* bytes after which no more codes are listed */
#define MAX_MISSING 64    /* names without a map that are remembered; they may come from data */

PG_FUNCTION_INFO_V1(outbox_decode_text);
PG_FUNCTION_INFO_V1(outbox_decode_bigint);

enum
{
	Anum_code_map_name = 1,
	Anum_code_map_code,
	Anum_code_map_word
};

/* Keys and words are counted strings in the map's own context. */
typedef struct CodeEntry
{
	text *code; /* hash key */
	text *word;
} CodeEntry;

typedef struct CodeMap
{
	MemoryContext context;
	char *name;
	HTAB *codes; /* NULL: the map does not exist */
	struct CodeMap *next;
} CodeMap;

static CodeMap *maps = NULL;
static int missing = 0;
static bool maps_valid = false;
static bool callback_registered = false;
static Oid code_map_relation = InvalidOid;
static StringInfo unknown = NULL; /* in TopMemoryContext */

static text *decode(text *map, text *code);
static CodeMap *find_map(text *name);
static CodeMap *load_map(const char *name);
static void forget_maps(void);
static void relation_changed(Datum arg, Oid relation);
static void remember_unknown(const CodeMap *map, text *code);
static uint32 hash_code(const void *key, Size size);
static int compare_codes(const void *left, const void *right, Size size);

/* outbox.decode(map text, code text): strict; NULL for an unknown code. */
Datum
outbox_decode_text(PG_FUNCTION_ARGS)
{
	text *word = decode(PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1));

	if (word == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(word);
}

/* outbox.decode(map text, code bigint): the code as its decimal text. */
Datum
outbox_decode_bigint(PG_FUNCTION_ARGS)
{
	char number[MAXINT8LEN + 1];
	text *word = decode(PG_GETARG_TEXT_PP(0),
						cstring_to_text_with_len(number, pg_lltoa(PG_GETARG_INT64(1), number)));

	if (word == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(word);
}

/* Forgets the unknown codes of the row before. Never raises. */
void
OutboxForgetUnknownCodes(void)
{
	if (unknown)
		resetStringInfo(unknown);
}

/*
 * The codes that outbox.decode() did not know since OutboxForgetUnknownCodes(), as
 * a text for people; NULL: none. The text is valid until the next decode().
 */
const char *
OutboxUnknownCodes(void)
{
	return unknown && unknown->len > 0 ? unknown->data : NULL;
}

/* A copy of the word for a code; NULL when the map or the code does not exist. */
static text *
decode(text *map_name, text *code)
{
	CodeMap *map = find_map(map_name);
	CodeEntry *entry = map->codes ? hash_search(map->codes, &code, HASH_FIND, NULL) : NULL;
	text *word;

	if (entry == NULL)
	{
		remember_unknown(map, code);
		return NULL;
	}
	word = palloc(VARSIZE(entry->word));
	memcpy(word, entry->word, VARSIZE(entry->word));
	return word;
}

static CodeMap *
find_map(text *name)
{
	Size len = VARSIZE_ANY_EXHDR(name);

	if (!maps_valid)
		forget_maps();
	for (CodeMap *map = maps; map; map = map->next)
	{
		if (strlen(map->name) == len && memcmp(map->name, VARDATA_ANY(name), len) == 0)
			return map;
	}
	return load_map(text_to_cstring(name));
}

/* Reads a map. It joins the list only when it is whole and nothing changed meanwhile. */
static CodeMap *
load_map(const char *name)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "outbox code map", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	HASHCTL control = {.keysize = sizeof(text *), .entrysize = sizeof(CodeEntry), .hash = hash_code, .match = compare_codes, .hcxt = context};
	CodeMap *map = palloc0(sizeof(CodeMap));
	Relation rel = table_open(OutboxRelationOid("code_map"), AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	map->context = context;
	map->name = pstrdup(name);
	maps_valid = true; /* until a callback says otherwise */
	code_map_relation = RelationGetRelid(rel);
	ScanKeyInit(&key, Anum_code_map_name, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(name));
	key.sk_collation = TupleDescAttr(RelationGetDescr(rel), Anum_code_map_name - 1)->attcollation;
	scan = systable_beginscan(rel, OutboxRelationOid("code_map_pkey"), true, snapshot, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;
		text *code = DatumGetTextPCopy(heap_getattr(tuple, Anum_code_map_code, RelationGetDescr(rel), &isnull));
		text *word = DatumGetTextPCopy(heap_getattr(tuple, Anum_code_map_word, RelationGetDescr(rel), &isnull));
		CodeEntry *entry;

		if (map->codes == NULL)
			map->codes = hash_create("outbox code map", 32, &control,
									 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
		entry = hash_search(map->codes, &code, HASH_ENTER, NULL);
		entry->word = word;
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	MemoryContextSwitchTo(caller);
	if (map->codes == NULL && ++missing > MAX_MISSING)
		maps_valid = false; /* start again */
	if (maps_valid)
	{
		MemoryContextSetParent(context, CacheMemoryContext);
		map->next = maps;
		maps = map;
	}
	return map;
}

static void
forget_maps(void)
{
	while (maps)
	{
		CodeMap *map = maps;

		maps = map->next;
		MemoryContextDelete(map->context);
	}
	missing = 0;
	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
		callback_registered = true;
	}
}

static void
relation_changed(Datum arg, Oid relation)
{
	if (!OidIsValid(relation) || relation == code_map_relation)
		maps_valid = false;
}

/* Appends '"Q" of code map "x"' to the list of unknown codes. The list has a limit. */
static void
remember_unknown(const CodeMap *map, text *code)
{
	int len = pg_mbcliplen(VARDATA_ANY(code), VARSIZE_ANY_EXHDR(code), MAX_SHOWN_CODE);

	if (unknown == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

		unknown = makeStringInfo();
		MemoryContextSwitchTo(caller);
	}
	if (unknown->len > MAX_SHOWN)
		return;
	appendStringInfo(unknown, map->codes ? "%s\"%.*s\" of code map \"%s\"" : "%s\"%.*s\" of code map \"%s\", which does not exist",
					 unknown->len > 0 ? ", " : "", len, VARDATA_ANY(code), map->name);
}

static uint32
hash_code(const void *key, Size size)
{
	text *code = *(text *const *) key;

	return hash_bytes((unsigned char *) VARDATA_ANY(code), VARSIZE_ANY_EXHDR(code));
}

static int
compare_codes(const void *left, const void *right, Size size)
{
	text *a = *(text *const *) left;
	text *b = *(text *const *) right;

	if (VARSIZE_ANY_EXHDR(a) != VARSIZE_ANY_EXHDR(b))
		return 1;
	return memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a));
}
