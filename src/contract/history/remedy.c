/*-------------------------------------------------------------------------
 *
 * remedy.c
 *	  What makes a schema compatible again, as SQL where SQL can do it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "contract/history/history_private.h"

static const AvroNode *find(const AvroNode *node, const char *path);
static const AvroNode *step_in(const AvroNode *node, const char **path);
static const AvroNode *no_null(const AvroNode *node);
static bool may_be_null(const AvroNode *node);
static char *required_name(const char *path);
static char *require(const OutboxContractConfig *config, const char *name, bool required);
static const char *cast_remedy(const OutboxContractConfig *config, const char *path, const AvroNode *older);
static const char *sql_type(const AvroNode *node);

/* Published as a version of its own, nothing has to be compatible. */
const char *
OutboxBesideRemedy(const OutboxContractConfig *config)
{
	return psprintf("SELECT outbox.add_version(%s, publish => 'beside');", quote_literal_cstr(config->name));
}

/* For a difference between an older schema and a newer one. `forward`: readers of the older one meet it. */
const char *
OutboxRemedy(const OutboxContractConfig *config, AvroRule rule, bool forward, const char *path, const AvroNode *older, const AvroNode *newer)
{
	const AvroNode *was = find(older, path);
	const AvroNode *is = find(newer, path);
	char *name = required_name(path);

	/* a field that was never null may be, or the other way round */
	if (was && is && forward && may_be_null(is) && !may_be_null(was))
		return require(config, name, true);
	if (was && is && !forward && may_be_null(was) && !may_be_null(is))
		return require(config, name, false);
	if (rule == AVRO_RULE_FIELD_NO_DEFAULT && !forward && was == NULL)
		return require(config, name, false);
	if (rule == AVRO_RULE_FIELD_NO_DEFAULT && forward && is == NULL && strchr(path, '.') == NULL && get_rel_name(config->view))
		return psprintf("ALTER VIEW %s RENAME COLUMN ... TO %s; gives it its name back, where it has another one. Otherwise: %s",
						quote_identifier(get_rel_name(config->view)), quote_identifier(path), OutboxBesideRemedy(config));
	if (rule == AVRO_RULE_ENUM_SYMBOL)
		return psprintf("ALTER TYPE ... ADD VALUE 'UNKNOWN'; before the first enable() lets readers take labels that they do not know. Now: %s", OutboxBesideRemedy(config));
	if (rule == AVRO_RULE_TYPE || rule == AVRO_RULE_UNION_BRANCH || rule == AVRO_RULE_DECIMAL_SCALE ||
		rule == AVRO_RULE_DECIMAL_PRECISION || rule == AVRO_RULE_LOGICAL || rule == AVRO_RULE_LOSSY)
		return cast_remedy(config, path, was);
	return OutboxBesideRemedy(config);
}

/* A cast in the view that gives the value its former type. */
static const char *
cast_remedy(const OutboxContractConfig *config, const char *path, const AvroNode *older)
{
	const char *type = older ? sql_type(no_null(older)) : NULL;
	const char *column = strrchr(path, '.') ? strrchr(path, '.') + 1 : path;

	if (type == NULL || strpbrk(column, "[{<") != NULL)
		return OutboxBesideRemedy(config);
	return psprintf("%s::%s AS %s in the view. Or: %s", quote_identifier(column), type, quote_identifier(column), OutboxBesideRemedy(config));
}

/* The PostgreSQL type whose Avro type this is; NULL for those that have no name. */
static const char *
sql_type(const AvroNode *node)
{
	switch (node->logical)
	{
		case AVRO_LOGICAL_DECIMAL:
			return psprintf("numeric(%d,%d)", node->precision, node->scale);
		case AVRO_LOGICAL_UUID:
			return "uuid";
		case AVRO_LOGICAL_DATE:
			return "date";
		case AVRO_LOGICAL_TIME_MICROS:
			return "time";
		case AVRO_LOGICAL_TIMESTAMP_MICROS:
			return "timestamptz";
		case AVRO_LOGICAL_NONE:
			break;
	}
	switch (node->kind)
	{
		case AVRO_KIND_BOOLEAN:
			return "boolean";
		case AVRO_KIND_INT:
			return "integer";
		case AVRO_KIND_LONG:
			return "bigint";
		case AVRO_KIND_FLOAT:
			return "real";
		case AVRO_KIND_DOUBLE:
			return "double precision";
		case AVRO_KIND_BYTES:
			return "bytea";
		case AVRO_KIND_STRING:
			return "text";
		default:
			return NULL;
	}
}

/* alter_contract() with a column, or a field in it, required or not. */
static char *
require(const OutboxContractConfig *config, const char *name, bool required)
{
	List *names = NIL;
	ListCell *lc;

	if (!required && (OutboxNameListMember(config->key, name) || OutboxNameListMember(config->aggregate_id, name)))
		return pstrdup(OutboxBesideRemedy(config));
	foreach (lc, config->required)
	{
		if (strcmp(lfirst(lc), name) != 0)
			names = lappend(names, lfirst(lc));
	}
	if (required)
		names = lappend(names, pstrdup(name));
	return psprintf("SELECT outbox.alter_contract(%s, required => %s);", quote_literal_cstr(config->name), quote_literal_cstr(OutboxNamesToArray(names)));
}

/* "items[].sku" as create_contract() names it: "items.sku". */
static char *
required_name(const char *path)
{
	char *name = palloc(strlen(path) + 1);
	char *end = name;
	bool inside = false;

	for (; *path; path++)
	{
		if (*path == '[' || *path == '{' || *path == '<')
			inside = true;
		if (!inside)
			*end++ = *path;
		if (*path == ']' || *path == '}' || *path == '>')
			inside = false;
	}
	*end = '\0';
	return name;
}

/* The type at a path of a difference; NULL: there is none. */
static const AvroNode *
find(const AvroNode *node, const char *path)
{
	while (node && *path)
		node = step_in(no_null(node), &path);
	return node;
}

/* One step further: a field, the items, the values, or a branch (which is taken to be the one that is not null). */
static const AvroNode *
step_in(const AvroNode *node, const char **path)
{
	const char *text = **path == '.' ? *path + 1 : *path;
	Size length = strcspn(text, ".[{<");

	if (*text == '[' || *text == '{')
	{
		*path = text + 2;
		return node->kind == AVRO_KIND_ARRAY || node->kind == AVRO_KIND_MAP ? node->items : NULL;
	}
	if (*text == '<')
	{
		*path = text + strcspn(text, ">");
		*path += **path == '>';
		return node;
	}
	*path = text + length;
	for (int i = 0; node->kind == AVRO_KIND_RECORD && i < node->count; i++)
	{
		if (strlen(node->fields[i].name) == length && strncmp(node->fields[i].name, text, length) == 0)
			return node->fields[i].type;
	}
	return NULL;
}

/* Of a union with null the first other branch; of anything else itself. */
static const AvroNode *
no_null(const AvroNode *node)
{
	for (int i = 0; node->kind == AVRO_KIND_UNION && i < node->count; i++)
	{
		if (node->branches[i]->kind != AVRO_KIND_NULL)
			return node->branches[i];
	}
	return node;
}

static bool
may_be_null(const AvroNode *node)
{
	for (int i = 0; node->kind == AVRO_KIND_UNION && i < node->count; i++)
	{
		if (node->branches[i]->kind == AVRO_KIND_NULL)
			return true;
	}
	return node->kind == AVRO_KIND_NULL;
}
