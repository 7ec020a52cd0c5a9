/*-------------------------------------------------------------------------
 *
 * schema_model.h
 *	  An Avro schema in memory, and what can be done with it without a server.
 *
 * Plain C without postgres.h, so that the parser, the canonical form and the
 * decoder can run under sanitizers and fuzzers.  Nothing here aborts or jumps:
 * functions return false or NULL and describe the reason in an AvroFault.
 * Memory comes from an AvroArena and is freed by whoever owns the arena; an
 * arena's alloc returns NULL when memory is out and must not longjmp, because
 * the parser holds malloc'd JSON while it allocates.
 *
 * All texts are UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_SCHEMA_MODEL_H
#define OUTBOX_AVRO_SCHEMA_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Types nested deeper than this are refused: every walk is recursive. */
#define AVRO_MAX_SCHEMA_DEPTH 64

typedef struct AvroArena
{
	void *(*alloc)(void *context, size_t size);
	void *context;
} AvroArena;

typedef struct AvroFault
{
	char text[512];
} AvroFault;

/* Primitive kinds come first, in the order of avro_primitive_names. */
typedef enum AvroKind
{
	AVRO_KIND_NULL,
	AVRO_KIND_BOOLEAN,
	AVRO_KIND_INT,
	AVRO_KIND_LONG,
	AVRO_KIND_FLOAT,
	AVRO_KIND_DOUBLE,
	AVRO_KIND_BYTES,
	AVRO_KIND_STRING,
	AVRO_KIND_RECORD,
	AVRO_KIND_ENUM,
	AVRO_KIND_FIXED,
	AVRO_KIND_ARRAY,
	AVRO_KIND_MAP,
	AVRO_KIND_UNION
} AvroKind;
#define AVRO_PRIMITIVE_KINDS AVRO_KIND_RECORD

/* Logical types we write; any other is read as its base type, as the specification says. */
typedef enum AvroLogical
{
	AVRO_LOGICAL_NONE,
	AVRO_LOGICAL_DECIMAL,
	AVRO_LOGICAL_UUID,
	AVRO_LOGICAL_DATE,
	AVRO_LOGICAL_TIME_MICROS,
	AVRO_LOGICAL_TIMESTAMP_MICROS
} AvroLogical;
#define AVRO_LOGICAL_KINDS (AVRO_LOGICAL_TIMESTAMP_MICROS + 1)

typedef struct AvroNode AvroNode;

/* What kind of JSON a field's default is; the value itself is of no use to us. */
typedef enum AvroDefault
{
	AVRO_DEFAULT_NONE,
	AVRO_DEFAULT_NULL,
	AVRO_DEFAULT_BOOLEAN,
	AVRO_DEFAULT_INTEGER,
	AVRO_DEFAULT_NUMBER,
	AVRO_DEFAULT_STRING,
	AVRO_DEFAULT_ARRAY,
	AVRO_DEFAULT_OBJECT
} AvroDefault;

/* Other names under which a reader looks for what the writer calls so. */
typedef struct AvroAliases
{
	const char **names; /* full names for a type, plain ones for a field */
	int count;
} AvroAliases;

typedef struct AvroField
{
	const char *name;
	const char *doc; /* or NULL */
	AvroNode *type;
	AvroAliases aliases;
	AvroDefault default_kind;
	bool null_default; /* "default": null */
} AvroField;

/*
 * One type.  A reference to a named type points to its definition, so a
 * recursive schema is a graph with cycles.
 */
struct AvroNode
{
	AvroKind kind;
	AvroLogical logical;
	const char *other_logical; /* the name of a logical type that is not ours, or not on this base; else NULL */
	int precision;             /* of a decimal, ours or on a fixed; 0: no decimal */
	int scale;
	int64_t size;      /* of a fixed */
	uint64_t min_size; /* bytes of the shortest value */
	const char *name;  /* full name of a record, enum or fixed */
	const char *doc;   /* or NULL */
	AvroAliases aliases;
	const char *default_symbol; /* of an enum, or NULL */
	int count;                  /* fields, symbols or branches */
	AvroField *fields;
	const char **symbols;
	AvroNode **branches;
	AvroNode *items;    /* of an array; the values of a map */
	AvroNode *previous; /* the node made before, for walks over all */
};

/* schema_model.c */
extern const char *const avro_primitive_names[AVRO_PRIMITIVE_KINDS];
extern int AvroPrimitiveKind(const char *name); /* -1 for any other name */
extern const char *const avro_logical_names[AVRO_LOGICAL_KINDS];

extern void *AvroAlloc(AvroArena *arena, size_t count, size_t size, AvroFault *fault);
extern char *AvroCopyText(AvroArena *arena, const char *text, size_t length, AvroFault *fault);
extern bool AvroFail(AvroFault *fault, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A simple name ([A-Za-z_][A-Za-z0-9_]*), or several with dots between. */
extern bool AvroIsName(const char *name, size_t length);
extern bool AvroIsFullName(const char *name, size_t length);
/* Length of the part of a full name up to its last dot, 0 without one. */
extern size_t AvroNamespaceLength(const char *fullname);

extern bool AvroIsUtf8(const char *text, size_t length);

/*
 * Fills min_size of all nodes, newest first in `nodes`. False when a type has
 * no finite value, as a record that directly contains itself.
 */
extern bool AvroMeasure(AvroNode *nodes, AvroFault *fault);

/*
 * schema_parse.c: reads and lints a schema (Avro 1.11).  Whatever the
 * specification forbids is refused, and so is what is known to crash other
 * readers.  NULL with *fault set.
 */
extern AvroNode *AvroParseSchema(AvroArena *arena, const char *text, size_t length, AvroFault *fault);

/* schema_text.c: the schema as JSON, one field per line, so that it diffs well. */
extern char *AvroSchemaText(AvroArena *arena, const AvroNode *schema, AvroFault *fault);

/*
 * schema_json.c: JSON Schema of the values in JSON. find gives the words that a
 * text field is one of, as quoted elements of a JSON array; NULL: it may be any.
 */
typedef struct AvroWords
{
	const char *(*find)(void *context, const char *record, const char *field);
	void *context;
} AvroWords;
extern char *AvroSchemaJson(AvroArena *arena, const AvroNode *schema, const AvroWords *words, AvroFault *fault);

/* canonical_form.c: Parsing Canonical Form, and its CRC-64-AVRO. */
extern char *AvroCanonicalForm(AvroArena *arena, const AvroNode *schema, AvroFault *fault);
/* The canonical form with logical types, precision and scale: a reader needs these to get the same values. */
extern char *AvroReadingForm(AvroArena *arena, const AvroNode *schema, AvroFault *fault);
extern uint64_t AvroCrc64(const char *bytes, size_t length);

#endif /* OUTBOX_AVRO_SCHEMA_MODEL_H */
