/*-------------------------------------------------------------------------
 *
 * avro_compatible_test.c
 *	  The comparison of schemas, under sanitizers: every rule with its place,
 *	  recursion, the levels of registries, limits, memory that runs out.
 *
 * Prints one line per failed check and exits 1.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "avro/compatible/compatible.h"
#include "check.h"
#include "memory.h"

/* What was reported, as "error TYPE a.b; ..." */
typedef struct Rows
{
	char text[4096];
	char pointer[256]; /* of the last one */
	long count;
	int calls; /* of the sink's step */
	bool counts_only;
} Rows;

static void
take(void *context, const AvroDifference *difference)
{
	Rows *rows = context;
	size_t length = strlen(rows->text);

	rows->count++;
	if (rows->counts_only)
		return;
	snprintf(rows->text + length, sizeof(rows->text) - length, "%s%s %s %s", length > 0 ? "; " : "",
			 avro_severity_names[difference->severity], avro_rule_names[difference->rule], difference->path);
	snprintf(rows->pointer, sizeof(rows->pointer), "%s", difference->pointer);
}

static void
step(void *context)
{
	((Rows *) context)->calls++;
}

static void
begin(void *context, const AvroLevelCheck *check)
{
	Rows *rows = context;
	size_t length = strlen(rows->text);

	snprintf(rows->text + length, sizeof(rows->text) - length, "%s%s %d", length > 0 ? "; " : "",
			 check->forward ? "forward" : "backward", check->against);
}

/* Single quotes stand for double ones. */
static AvroNode *
parse(AvroArena *arena, const char *text)
{
	AvroFault fault;
	char *copy = AvroCopyText(arena, text, strlen(text), &fault);
	AvroNode *node;
	char *s;

	if (copy == NULL)
		return NULL;
	for (s = copy; *s != '\0'; s++)
	{
		if (*s == '\'')
			*s = '"';
	}
	node = AvroParseSchema(arena, copy, strlen(copy), &fault);
	if (node == NULL)
		printf("%s: %.200s\n", fault.text, copy);
	return node;
}

#define RECORD(name, fields) "{'type':'record','name':'" name "','fields':[" fields "]}"
#define FIELD(name, type) "{'name':'" name "','type':" type "}"
#define FIELD_MORE(name, type, more) "{'name':'" name "','type':" type "," more "}"
#define NULLABLE(type) "['null'," type "]"
#define LIST(type) "{'type':'array','items':" type "}"
#define MAP(type) "{'type':'map','values':" type "}"
#define LOGICAL(type, logical) "{'type':'" type "','logicalType':'" logical "'}"
#define DECIMAL(precision, scale) "{'type':'bytes','logicalType':'decimal','precision':" precision ",'scale':" scale "}"
#define FIXED(name, size) "{'type':'fixed','name':'" name "','size':" size "}"
#define FIXED_DECIMAL(precision, scale) "{'type':'fixed','name':'F','size':8,'logicalType':'decimal','precision':" precision ",'scale':" scale "}"
#define ENUM(symbols, more) "{'type':'enum','name':'E','symbols':[" symbols "]" more "}"

static const struct
{
	const char *reader;
	const char *writer;
	const char *rows;
	const char *pointer; /* of the last row, or NULL */
} cases[] = {
	/* names */
	{RECORD("A", ""), RECORD("B", ""), "error NAME ", "/name"},
	{RECORD("a.A", ""), RECORD("b.A", ""), "", NULL},
	{"{'type':'record','name':'A','namespace':'n','aliases':['B'],'fields':[]}", RECORD("n.B", ""), "", NULL},
	{"{'type':'record','name':'A','namespace':'n','aliases':['B'],'fields':[]}", RECORD("B", ""), "error NAME ", NULL},
	{LIST(ENUM("'A'", "")), LIST("{'type':'enum','name':'X','symbols':['A']}"), "error NAME []", "/items/name"},
	{RECORD("A", FIELD("a", NULLABLE(RECORD("I", "")))), RECORD("A", FIELD("a", NULLABLE(RECORD("J", "")))), "error NAME a", "/fields/0/type/1/name"},
	/* fields */
	{RECORD("A", FIELD("a", "'int'")), RECORD("A", ""), "error FIELD_NO_DEFAULT a", "/fields/0"},
	{RECORD("A", FIELD_MORE("a", "'int'", "'default':0")), RECORD("A", ""), "", NULL},
	{RECORD("A", FIELD_MORE("a", "'int'", "'default':'x'")), RECORD("A", ""), "error FIELD_NO_DEFAULT a", NULL},
	{RECORD("A", FIELD_MORE("a", NULLABLE("'int'"), "'default':null")), RECORD("A", ""), "", NULL},
	{RECORD("A", ""), RECORD("A", FIELD("a", "'int'")), "", NULL},
	{RECORD("A", FIELD("b", "'int'") "," FIELD("a", "'int'")), RECORD("A", FIELD("a", "'int'") "," FIELD("b", "'int'")), "", NULL},
	{RECORD("A", FIELD_MORE("b", "'int'", "'aliases':['a']")), RECORD("A", FIELD("a", "'int'")), "", NULL},
	{RECORD("A", FIELD_MORE("b", "'int'", "'aliases':['a']")), RECORD("A", FIELD("a", "'int'") "," FIELD("b", "'int'")), "error ALIAS_AMBIGUOUS b", "/fields/0"},
	{RECORD("A", FIELD("a", "'int'") "," FIELD_MORE("b", "'int'", "'aliases':['a']")), RECORD("A", FIELD("a", "'int'")), "error ALIAS_AMBIGUOUS b", "/fields/1"},
	/* kinds */
	{"'int'", "'string'", "error TYPE ", ""},
	{"'long'", "'int'", "", NULL},
	{"'int'", "'long'", "error TYPE ", NULL},
	{"'double'", "'int'", "", NULL},
	{"'double'", "'float'", "", NULL},
	{"'float'", "'double'", "error TYPE ", NULL},
	{"'double'", "'long'", "warning LOSSY ", NULL},
	{"'float'", "'int'", "warning LOSSY ", NULL},
	{"'string'", "'bytes'", "warning LOSSY ", NULL},
	{"'bytes'", "'string'", "warning LOSSY ", NULL},
	{LIST("'int'"), MAP("'int'"), "error TYPE ", NULL},
	{RECORD("A", FIELD("m", MAP(LIST("'int'")))), RECORD("A", FIELD("m", MAP(LIST("'long'")))), "error TYPE m{}[]", "/fields/0/type/values/items"},
	/* unions */
	{"'int'", NULLABLE("'int'"), "error TYPE ", NULL},
	{NULLABLE("'int'"), "'int'", "", NULL},
	{"['int','null']", NULLABLE("'int'"), "", NULL},
	{NULLABLE("'int'"), NULLABLE("'string'"), "error UNION_BRANCH ", ""},
	{NULLABLE("'long'"), NULLABLE("'int'"), "", NULL},
	{"['long','int']", "'int'", "warning UNION_BRANCH ", NULL},
	{NULLABLE(RECORD("I", FIELD("x", "'int'"))), NULLABLE(RECORD("I", FIELD("x", "'string'"))), "error TYPE x", "/1/fields/0/type"},
	{"['string'," RECORD("I", FIELD("x", "'int'")) "]", "['string'," RECORD("I", FIELD("x", "'string'")) "]", "error TYPE <I>.x", NULL},
	/* of two that match by the short name the one that fits, though some take the first */
	{"[" RECORD("a.I", FIELD("x", "'int'")) "," RECORD("b.I", FIELD("x", "'string'")) "]", RECORD("c.I", FIELD("x", "'string'")), "warning UNION_BRANCH ", NULL},
	/* the same full name is taken, fit or not */
	{"[" RECORD("a.I", FIELD("x", "'int'")) "," RECORD("b.I", FIELD("x", "'string'")) "]", RECORD("a.I", FIELD("x", "'string'")), "error TYPE <a.I>.x", NULL},
	/* enums and fixed */
	{ENUM("'A'", ""), ENUM("'A','B','C'", ""), "error ENUM_SYMBOL ; error ENUM_SYMBOL ", "/symbols"},
	{ENUM("'C','B','A'", ""), ENUM("'A','B'", ""), "", NULL},
	{ENUM("'A'", ",'default':'A'"), ENUM("'A','B'", ""), "", NULL},
	{ENUM("'A'", ""), ENUM("'A','B'", ",'default':'A'"), "error ENUM_SYMBOL ", NULL},
	{FIXED("F", "4"), FIXED("F", "8"), "error FIXED_SIZE ", "/size"},
	{FIXED("F", "4"), FIXED("G", "8"), "error NAME ; error FIXED_SIZE ", NULL},
	/* logical types */
	{DECIMAL("10", "2"), DECIMAL("10", "2"), "", NULL},
	{DECIMAL("10", "4"), DECIMAL("10", "2"), "error DECIMAL_SCALE ", NULL},
	{DECIMAL("10", "2"), DECIMAL("12", "2"), "error DECIMAL_PRECISION ", NULL},
	{DECIMAL("12", "2"), DECIMAL("10", "2"), "warning DECIMAL_PRECISION ", NULL},
	{DECIMAL("8", "4"), DECIMAL("10", "2"), "error DECIMAL_SCALE ; error DECIMAL_PRECISION ", NULL},
	{FIXED_DECIMAL("10", "4"), FIXED_DECIMAL("10", "2"), "error DECIMAL_SCALE ", NULL},
	{FIXED_DECIMAL("10", "2"), FIXED("F", "8"), "error LOGICAL ", NULL},
	{FIXED_DECIMAL("0", "2"), FIXED("F", "8"), "", NULL},
	{FIXED_DECIMAL("18", "2"), FIXED("F", "8"), "error LOGICAL ", NULL},
	{FIXED_DECIMAL("19", "2"), FIXED("F", "8"), "", NULL},
	{"'bytes'", DECIMAL("10", "2"), "error LOGICAL ", NULL},
	{"'string'", DECIMAL("10", "2"), "warning LOSSY ; error LOGICAL ", NULL},
	{LOGICAL("long", "timestamp-millis"), LOGICAL("long", "timestamp-micros"), "error LOGICAL ", NULL},
	{LOGICAL("long", "local-timestamp-micros"), LOGICAL("long", "timestamp-micros"), "error LOGICAL ", NULL},
	{LOGICAL("long", "timestamp-micros"), "'long'", "error LOGICAL ", NULL},
	{"'long'", LOGICAL("int", "date"), "error LOGICAL ", NULL},
	{"'int'", LOGICAL("int", "date"), "error LOGICAL ", NULL},
	{LOGICAL("long", "time-micros"), LOGICAL("int", "time-millis"), "error LOGICAL ", NULL},
	{LOGICAL("string", "uuid"), "'string'", "warning LOGICAL ", NULL},
	{"'string'", LOGICAL("string", "uuid"), "warning LOGICAL ", NULL},
	{LOGICAL("string", "date"), "'string'", "", NULL},
	{LOGICAL("string", "iban"), "'string'", "warning LOGICAL ", NULL},
	{NULLABLE(LOGICAL("long", "timestamp-millis")), NULLABLE(LOGICAL("long", "timestamp-micros")), "error LOGICAL ", "/1"},
	/* recursion */
	{RECORD("L", FIELD("v", "'int'") "," FIELD("next", NULLABLE("'L'"))), RECORD("L", FIELD("v", "'int'") "," FIELD("next", NULLABLE("'L'"))), "", NULL},
	{RECORD("L", FIELD("v", "'int'") "," FIELD("next", NULLABLE("'L'"))), RECORD("L", FIELD("v", "'long'") "," FIELD("next", NULLABLE("'L'"))), "error TYPE v", NULL},
	{RECORD("L", FIELD("next", NULLABLE("'L'"))), RECORD("L", FIELD("next", NULLABLE(RECORD("n.L", FIELD("next", "'int'"))))), "error UNION_BRANCH next.next", NULL},
	/* a type that is used twice is reported twice */
	{RECORD("A", FIELD("x", RECORD("I", FIELD("v", "'int'"))) "," FIELD("y", "'I'")),
	 RECORD("A", FIELD("x", RECORD("I", FIELD("v", "'long'"))) "," FIELD("y", "'I'")), "error TYPE x.v; error TYPE y.v", NULL},
	/*
	 * (A, W) is assumed while it is tried as a branch, and (B, V) rests on that; when the other branch is taken in the
	 * end, (B, V) must not count as compatible any more.
	 */
	{RECORD("R", FIELD("u", "[" RECORD("a.W", FIELD("b", RECORD("B", FIELD("back", LIST("'a.W'")))) "," FIELD("bad", "'int'")) "," RECORD("c.W", "") "]") "," FIELD("later", "'a.B'")),
	 RECORD("R", FIELD("u", RECORD("d.W", FIELD("b", RECORD("B", FIELD("back", LIST("'d.W'")))) "," FIELD("bad", "'string'"))) "," FIELD("later", "'d.B'")), "warning UNION_BRANCH u; error TYPE later.back[].bad", NULL}};

static void
test_cases(void)
{
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Memory memory = {.left = -1};
		AvroArena arena = {.alloc = memory_alloc, .context = &memory};
		AvroNode *reader = parse(&arena, cases[i].reader);
		AvroNode *writer = parse(&arena, cases[i].writer);
		Rows rows = {.count = 0};
		AvroDifferenceSink sink = {.take = take, .step = step, .context = &rows};
		AvroFault fault;
		bool compatible = false;

		CHECK(reader != NULL && writer != NULL);
		if (reader == NULL || writer == NULL)
		{
			printf("case %zu: no schema\n", i);
			memory_free(&memory);
			continue;
		}
		CHECK(AvroCompatible(&arena, reader, writer, &sink, &compatible, &fault));
		CHECK(compatible == (strstr(rows.text, "error") == NULL));
		if (strcmp(rows.text, cases[i].rows) != 0)
		{
			CHECK(!"the rows are the expected ones");
			printf("case %zu: %s\n", i, rows.text);
		}
		if (cases[i].pointer != NULL && strcmp(rows.pointer, cases[i].pointer) != 0)
		{
			CHECK(!"the pointer is the expected one");
			printf("case %zu: %s\n", i, rows.pointer);
		}
		memory_free(&memory);
	}
}

/* What comparisons a level asks for, and what they find. */
static void
test_levels(void)
{
	static const struct
	{
		AvroLevel level;
		bool compatible;
		const char *rows;
	} expected[] = {
		{AVRO_LEVEL_NONE, true, ""},
		{AVRO_LEVEL_BACKWARD, true, "backward 0"},
		{AVRO_LEVEL_BACKWARD_TRANSITIVE, false, "backward 0; backward 1; error FIELD_NO_DEFAULT b"},
		{AVRO_LEVEL_FORWARD, false, "forward 0; error FIELD_NO_DEFAULT a"},
		{AVRO_LEVEL_FORWARD_TRANSITIVE, false, "forward 0; error FIELD_NO_DEFAULT a; forward 1; error FIELD_NO_DEFAULT a"},
		{AVRO_LEVEL_FULL, false, "backward 0; forward 0; error FIELD_NO_DEFAULT a"},
		{AVRO_LEVEL_FULL_TRANSITIVE, false,
		 "backward 0; forward 0; error FIELD_NO_DEFAULT a; backward 1; error FIELD_NO_DEFAULT b; forward 1; error FIELD_NO_DEFAULT a"}};
	Memory memory = {.left = -1};
	AvroArena arena = {.alloc = memory_alloc, .context = &memory};
	AvroNode *schema = parse(&arena, RECORD("A", FIELD("b", "'int'")));
	const AvroNode *older[] = {parse(&arena, RECORD("A", FIELD("a", "'int'") "," FIELD("b", "'int'"))),
							   parse(&arena, RECORD("A", FIELD("a", "'int'")))};
	AvroLevel level;
	size_t i;

	for (i = 0; i < AVRO_LEVELS; i++)
	{
		Rows rows = {.count = 0};
		AvroDifferenceSink sink = {.take = take, .context = &rows};
		AvroFault fault;
		bool compatible;

		CHECK(AvroLevelByName(avro_level_names[i], &level) && level == expected[i].level);
		CHECK(AvroCompatibleAtLevel(&arena, level, schema, older, 2, &sink, begin, &compatible, &fault));
		CHECK(compatible == expected[i].compatible);
		CHECK(strcmp(rows.text, expected[i].rows) == 0);
		CHECK(AvroCompatibleAtLevel(&arena, level, schema, older, 0, &sink, NULL, &compatible, &fault) && compatible);
	}
	CHECK(!AvroLevelByName("full", &level));
	memory_free(&memory);
}

/* Every allocation may be the one that fails. */
static void
test_memory_runs_out(void)
{
	Memory schemas = {.left = -1};
	AvroArena schema_arena = {.alloc = memory_alloc, .context = &schemas};
	AvroNode *reader = parse(&schema_arena, cases[sizeof(cases) / sizeof(cases[0]) - 1].reader);
	AvroNode *writer = parse(&schema_arena, cases[sizeof(cases) / sizeof(cases[0]) - 1].writer);
	bool done = reader == NULL || writer == NULL;
	long left;

	CHECK(!done);
	for (left = 0; !done; left++)
	{
		Memory memory = {.left = left};
		AvroArena arena = {.alloc = memory_alloc, .context = &memory};
		Rows rows = {.count = 0};
		AvroDifferenceSink sink = {.take = take, .context = &rows};
		AvroFault fault = {""};
		bool compatible;

		done = AvroCompatible(&arena, reader, writer, &sink, &compatible, &fault);
		CHECK(done || strcmp(fault.text, "out of memory") == 0);
		memory_free(&memory);
	}
	CHECK(left > 5);
	memory_free(&schemas);
}

/* A record with n fields: field i is what one() writes for it. */
static char *
many_fields(int n, void (*one)(char *text, int i))
{
	char *text = malloc((size_t) n * 160 + 100);
	char *end = text + sprintf(text, "{'type':'record','name':'M','fields':[");
	int i;

	for (i = 0; i < n; i++)
	{
		end += sprintf(end, i > 0 ? "," : "");
		one(end, i);
		end += strlen(end);
	}
	strcpy(end, "]}");
	return text;
}

/* A record that has the one before as a field: deep, though nothing is nested. */
static void
chain(char *text, int i)
{
	sprintf(text, i > 0 ? "{'name':'f%d','type':{'type':'record','name':'T%d','fields':[{'name':'x','type':'T%d'}]}}" : "{'name':'f%d','type':{'type':'record','name':'T%d','fields':[]}}",
			i, i, i - 1);
}

/* The same with the one before twice: 2^n places. */
static void
doubled(char *text, int i)
{
	sprintf(text, i > 0 ? "{'name':'f%d','type':{'type':'record','name':'T%d','fields':[{'name':'x','type':'T%d'},{'name':'y','type':'T%d'}]}}" : "{'name':'f%d','type':{'type':'record','name':'T%d','fields':[{'name':'bad','type':'leaf'}]}}",
			i, i, i - 1, i - 1);
}

static void
ordinary(char *text, int i)
{
	sprintf(text, "{'name':'field_%d','type':['null',%s],'default':null}", i,
			i % 3 == 0 ? "'string'" : i % 3 == 1 ? LOGICAL("long", "timestamp-micros")
												 : DECIMAL("12", "2"));
}

static void
aliased(char *text, int i)
{
	sprintf(text, "{'name':'g%d','type':'int','aliases':['a','b','c','d','e','f'],'default':0}", i);
}

/* The definitions stand in a field that only one side has, so that the comparison begins with the last of them. */
static char *
last_of(int n, void (*one)(char *text, int i), const char *side, const char *leaf)
{
	char *definitions = many_fields(n, one);
	char *text = malloc(strlen(definitions) + 500);
	char *at;

	sprintf(text, "{'type':'record','name':'A','fields':[{'name':'%s','type':%s,'default':{}},{'name':'z','type':'T%d'}]}", side, definitions, n - 1);
	at = strstr(text, "'leaf'");
	if (at != NULL)
		memcpy(at, leaf, 6);
	free(definitions);
	return text;
}

static bool
compare_texts(const char *reader_text, const char *writer_text, const char *why)
{
	Memory memory = {.left = -1};
	AvroArena arena = {.alloc = memory_alloc, .context = &memory};
	AvroNode *reader = parse(&arena, reader_text);
	AvroNode *writer = parse(&arena, writer_text);
	Rows rows = {.counts_only = true};
	AvroDifferenceSink sink = {.take = take, .step = step, .context = &rows};
	AvroFault fault = {""};
	bool compatible = false;
	bool done;

	if (reader == NULL || writer == NULL)
	{
		CHECK(!"both are schemas");
		memory_free(&memory);
		return false;
	}
	done = AvroCompatible(&arena, reader, writer, &sink, &compatible, &fault);
	CHECK(done == (why == NULL));
	CHECK(strcmp(fault.text, why != NULL ? why : "") == 0);
	memory_free(&memory);
	return done && compatible;
}

/* What is too much is given up with a fault, and soon. */
static void
test_limits(void)
{
	char *deep_reader = last_of(600, chain, "r", "");
	char *deep_writer = last_of(600, chain, "w", "");
	char *twice_reader = last_of(40, doubled, "r", "'long'");
	char *twice_writer = last_of(40, doubled, "w", "'long'");
	char *twice_other = last_of(40, doubled, "w", "'null'");
	char *aliases = many_fields(3000, aliased);
	char *fields = many_fields(3000, ordinary);

	CHECK(!compare_texts(deep_reader, deep_writer, "types that refer to each other are nested deeper than 512"));
	/* 2^39 ways lead to the innermost field: no matter as long as it fits. */
	CHECK(compare_texts(twice_reader, twice_writer, NULL));
	CHECK(!compare_texts(twice_reader, twice_other, "the schemas differ in too many places"));
	CHECK(!compare_texts(aliases, fields, "the schemas are too large to be compared"));
	CHECK(compare_texts(fields, fields, NULL));
	free(deep_reader);
	free(deep_writer);
	free(twice_reader);
	free(twice_writer);
	free(twice_other);
	free(aliases);
	free(fields);
}

/* A figure to look at, with sanitizers and all; nothing depends on it. */
static void
show_time(void)
{
	Memory schemas = {.left = -1};
	AvroArena schema_arena = {.alloc = memory_alloc, .context = &schemas};
	char *text = many_fields(100, ordinary);
	AvroNode *reader = parse(&schema_arena, text);
	AvroNode *writer = parse(&schema_arena, text);
	Rows rows = {.counts_only = true};
	AvroDifferenceSink sink = {.take = take, .context = &rows};
	clock_t start = clock();
	int i;

	for (i = 0; i < 1000; i++)
	{
		Memory memory = {.left = -1};
		AvroArena arena = {.alloc = memory_alloc, .context = &memory};
		AvroFault fault;
		bool compatible;

		CHECK(AvroCompatible(&arena, reader, writer, &sink, &compatible, &fault) && compatible);
		memory_free(&memory);
	}
	printf("two records of 100 fields: %.1f us\n", (double) (clock() - start) * 1e6 / CLOCKS_PER_SEC / 1000);
	free(text);
	memory_free(&schemas);
}

int
main(void)
{
	test_cases();
	test_levels();
	test_memory_runs_out();
	test_limits();
	show_time();
	printf("%d checks, %d failed\n", checks, failures);
	return failures > 0;
}
