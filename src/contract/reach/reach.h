/*-------------------------------------------------------------------------
 *
 * reach.h
 *	  The functions that an expression or a query may call: which they are, who owns them, what they may do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CONTRACT_REACH_REACH_H
#define OUTBOX_CONTRACT_REACH_REACH_H

#include "access/tupdesc.h"
#include "nodes/parsenodes.h"

/* ---- What a function may do that concerns its caller. ---- */

/*
 * A set of the bits below, of a function, an expression, or a whole contract. A
 * contract with no other bit than OUTBOX_RAISES is evaluated without preparations.
 */
typedef uint32 OutboxTraits;

/* It reads settings of the session. Each bit stands for a group that is pinned together (settings.c). */
#define OUTBOX_READS_NAMES 0x0001  /* search_path, quoting of names */
#define OUTBOX_READS_TIME 0x0002   /* styles and zones of dates and times */
#define OUTBOX_READS_FLOAT 0x0004  /* digits of floating-point numbers */
#define OUTBOX_READS_BYTEA 0x0008  /* text of bytea */
#define OUTBOX_READS_XML 0x0010    /* what is xml, and binary data in it */
#define OUTBOX_READS_LOCALE 0x0020 /* lc_monetary, lc_numeric, lc_time */
#define OUTBOX_READS_ARRAY 0x0040  /* NULL in the text of an array */
#define OUTBOX_READS_SEARCH 0x0080 /* the configuration of text search */
#define OUTBOX_READS_ZONES 0x0800  /* abbreviations of time zones */
#define OUTBOX_READS_ALL 0x08ff

#define OUTBOX_SPEAKS 0x0100  /* it may send messages other than errors */
#define OUTBOX_FOREIGN 0x0200 /* it is not PostgreSQL's own: it may read and do anything */
#define OUTBOX_RAISES 0x0400  /* it may raise an error, other than for a lack of memory or corrupt storage */

#define OUTBOX_COMMANDS 0x1000 /* with OUTBOX_FOREIGN: commands of ours whose parsing runs such code; they are no utility to refuse */

/* For unknown code; and for parsing, planning and folding, which run functions and read literals of any type. */
#define OUTBOX_ANYTHING (OUTBOX_READS_ALL | OUTBOX_SPEAKS | OUTBOX_FOREIGN | OUTBOX_RAISES)
#define OUTBOX_COMPILING OUTBOX_ANYTHING

/* ---- function_traits.c: What one of PostgreSQL's functions may do that concerns its caller. ---- */

extern OutboxTraits OutboxFunctionTraits(Oid function);
extern OutboxTraits OutboxCollationTraits(Oid collation, bool collatable);

/* ---- reach.c: Which functions evaluating an expression, or planning and running a query, may call. ---- */

/*
 * Called for every function, for some of them several times. True ends the walk.
 * `node` is the part of the expression at which the function is called, directly
 * or by another function. InvalidOid stands for code that nothing names: of a type
 * or a query that only a value tells (OutboxRunsUnseen), or of a field of an
 * anonymous record whose origin is not seen.
 */
typedef bool (*OutboxReachedFunction)(Oid function, Node *node, void *arg);

extern bool OutboxReachFunctions(Node *node, OutboxReachedFunction callback, void *arg);
extern bool OutboxReachOutput(Oid type, OutboxReachedFunction callback, void *arg);
extern List *OutboxRelatedOperators(Oid opno);

/* ---- trust.c: Whose functions may run with the rights of a view's owner. ---- */

/* The role with whose rights something is evaluated, and the names for errors. */
typedef struct OutboxRunner
{
	Oid role;
	const char *view; /* that the role owns, qualified and quoted; NULL: it does not exist yet */
	const char *what; /* contract "x", condition of event type "y" */
} OutboxRunner;

extern void OutboxRunnerOfView(OutboxRunner *runner, Oid view, const char *what);
extern bool OutboxMayRun(Oid role, Oid function);
extern bool OutboxMayRunAll(Oid role, Node *expression);
extern bool OutboxFunctionOwner(Oid function, Oid *owner, bool *as_owner);
extern bool OutboxTookForDefiner(Oid function);
extern bool OutboxTrustsRole(Oid role, Oid owner);
extern void OutboxCheckExpressionTrust(const OutboxRunner *runner, Node *expression);
extern void OutboxCheckQueryTrust(const OutboxRunner *runner, Query *query);
extern void OutboxCheckOutputTrust(const OutboxRunner *runner, Oid type);
extern void OutboxCheckInputTrust(const OutboxRunner *runner, Oid type);
extern void OutboxCheckTextTrust(const OutboxRunner *runner, Node *raw, TupleDesc row);

#endif /* OUTBOX_CONTRACT_REACH_REACH_H */
