/*-------------------------------------------------------------------------
 *
 * contract_api.h
 *	  What the SQL functions on contracts share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_API_H
#define OUTBOX_CONTRACT_API_H

#include "fmgr.h"

#include "catalog/arguments.h"
#include "catalog/contract_config.h"

/* Raises unless the name is [A-Za-z_][A-Za-z0-9_]* of at most max_bytes. `kind` is "contract", "event type", ... */
extern void OutboxCheckName(const char *kind, const char *name, int max_bytes);

/* The relation of a possibly qualified name as the caller's search_path has it; raises, naming `argument`. */
extern Oid OutboxResolveRelation(const char *argument, const char *name);

/*
 * Raises unless the caller may have triggers on the source and has the rights
 * of the view's owner: a contract evaluates with these.
 */
extern void OutboxCheckContractRights(Oid view, Oid source);

/* The first half of that. */
extern void OutboxCheckSourceRights(Oid source);

/* Raises unless the table is of a kind that can be watched. */
extern void OutboxCheckSource(Oid source);

/* Pins the schema of an event type for the contract's present version (SPI inside). */
extern void OutboxPinSchema(const OutboxContractConfig *config, OutboxEventTypeConfig *type);

/*
 * Runs one statement on our own tables as the extension's owner. Arguments are
 * text; NULL is NULL. Returns the first column of the first row as text, or NULL.
 */
extern char *OutboxExecute(const char *query, int nargs, const char *const *args);

/* The same, all rows: a list of char *[] (NULL for NULL), in CurrentMemoryContext. */
extern List *OutboxExecuteRows(const char *query, int nargs, const char *const *args);

/* The contract that an argument names; raises when there is none. */
extern OutboxContractConfig *OutboxContractArg(FunctionCallInfo fcinfo, int arg, const char *argument);

/* The contract that an event type belongs to; NULL when there is no such event type. */
extern char *OutboxEventTypeContract(const char *event_type);

/* The elements of a text[] argument, NIL for SQL NULL. */
extern List *OutboxNameListArg(FunctionCallInfo fcinfo, int arg, const char *argument);

/* A list of names as the text of a text[] value. */
extern char *OutboxNamesToArray(const List *names);

#endif /* OUTBOX_CONTRACT_API_H */
