/*-------------------------------------------------------------------------
 *
 * arguments.h
 *	  Arguments of the SQL functions.
 *
 * None of them is strict: a NULL that makes no sense is an error that names
 * the argument, not a result that says nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_ARGUMENTS_H
#define OUTBOX_ARGUMENTS_H

#include "fmgr.h"
#include "nodes/pg_list.h"

#include "catalog/contract_config.h"

/* Raises null_value_not_allowed, naming the argument, when it is NULL. */
extern void OutboxRequireArg(FunctionCallInfo fcinfo, int arg, const char *argument);

/* A text argument, palloc'd; NULL for SQL NULL. */
extern char *OutboxTextArg(FunctionCallInfo fcinfo, int arg);

/* The same, where NULL is refused. */
extern char *OutboxRequiredTextArg(FunctionCallInfo fcinfo, int arg, const char *argument);

/* The elements of a text[] argument, NIL for SQL NULL. */
extern List *OutboxNameListArg(FunctionCallInfo fcinfo, int arg, const char *argument);

/* A list of names as the text of a text[] value. */
extern char *OutboxNamesToArray(const List *names);

/* The contract that an argument names; raises when there is none. */
extern OutboxContractConfig *OutboxContractArg(FunctionCallInfo fcinfo, int arg, const char *argument);

/* The contract that an event type belongs to; NULL when there is no such event type. */
extern char *OutboxEventTypeContract(const char *event_type);

/* Raises unless the name is [A-Za-z_][A-Za-z0-9_]* of at most max_bytes. `kind` is "contract", "event type", ... */
extern void OutboxCheckName(const char *kind, const char *name, int max_bytes);

/* The relation of a possibly qualified name as the caller's search_path has it; raises, naming `argument`. */
extern Oid OutboxResolveRelation(const char *argument, const char *name);

#endif /* OUTBOX_ARGUMENTS_H */
