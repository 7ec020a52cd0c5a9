/*-------------------------------------------------------------------------
 *
 * invert.c
 *	  The value of a table's column out of the value of a contract's column.
 *
 * An expression is turned around from the outside to the column that it reads. What
 * keeps all of the value is known here: casts to wider types, trimmed char(n), time
 * zones, code maps with one code for each word, factors, flags. Anything else gives
 * up, since a value that is nearly right is worse than none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "catalog/outbox_catalog.h"
#include "contract/documents/documents_private.h"

/* Casts that lose nothing. */
static const Oid widening[] = {
	F_INT4_INT2, F_INT8_INT2, F_INT8_INT4, F_NUMERIC_INT2, F_NUMERIC_INT4, F_NUMERIC_INT8, F_FLOAT8_FLOAT4, F_TIMESTAMP_DATE, F_TEXT_BPCHAR};

/* What flags are written as: the first for true, the second for false. */
static const char *const flags[][2] = {{"1", "0"}, {"Y", "N"}, {"J", "N"}, {"T", "F"}, {"t", "f"}, {"y", "n"}, {"X", ""}};

static bool step(OutboxInversion *inversion, Node **node);
static bool step_function(OutboxInversion *inversion, FuncExpr *call, Node **node);
static bool step_operator(OutboxInversion *inversion, OpExpr *operation, Node **node);

/*
 * Follows an expression over one table down to its column. On the way
 * inversion->value, the SQL of the contract's value, becomes that of the column,
 * but for its type. Returns the column, or NULL.
 */
Var *
OutboxInvert(OutboxInversion *inversion, Node *node)
{
	while (node != NULL && !IsA(node, Var))
	{
		if (!step(inversion, &node))
			return NULL;
	}
	return (Var *) node;
}

/* The column itself gets its type in the end. */
static void
cast_to(OutboxInversion *inversion, Node *inner)
{
	Oid type = exprType(inner);

	if (IsA(inner, Var))
		return;
	inversion->value = psprintf("(%s)::%s", inversion->value, format_type_be_qualified(type));
}

static bool
step(OutboxInversion *inversion, Node **node)
{
	switch (nodeTag(*node))
	{
		case T_RelabelType:
			*node = (Node *) ((RelabelType *) *node)->arg;
			return true;
		case T_CoerceToDomain:
			*node = (Node *) ((CoerceToDomain *) *node)->arg;
			return true;
		case T_CollateExpr:
			*node = (Node *) ((CollateExpr *) *node)->arg;
			return true;
		case T_CoerceViaIO:
		{
			Oid type;

			*node = (Node *) ((CoerceViaIO *) *node)->arg;
			type = exprType(*node);
			cast_to(inversion, *node);
			return type == INT2OID || type == INT4OID || type == INT8OID || type == UUIDOID || type_is_enum(type);
		}
		case T_BoolExpr:
			inversion->value = psprintf("NOT %s", inversion->value);
			if (((BoolExpr *) *node)->boolop != NOT_EXPR)
				return false;
			*node = linitial(((BoolExpr *) *node)->args);
			return true;
		case T_FuncExpr:
			return step_function(inversion, (FuncExpr *) *node, node);
		case T_OpExpr:
			return step_operator(inversion, (OpExpr *) *node, node);
		default:
			return false;
	}
}

/* The text of a constant that is not null; NULL for any other node. */
static char *
constant_text(Node *node)
{
	Oid output;
	bool is_varlena;

	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (node == NULL || !IsA(node, Const) || ((Const *) node)->constisnull)
		return NULL;
	getTypeOutputInfo(((Const *) node)->consttype, &output, &is_varlena);
	return OidOutputFunctionCall(output, ((Const *) node)->constvalue);
}

/* Digits behind the point that values of a numeric expression have; -1: any number. */
static int
scale_of(Node *node)
{
	int32 typmod = exprTypmod(node);

	if (IsA(node, FuncExpr) && (((FuncExpr *) node)->funcid == F_NUMERIC_INT2 || ((FuncExpr *) node)->funcid == F_NUMERIC_INT4 || ((FuncExpr *) node)->funcid == F_NUMERIC_INT8))
		return 0;
	if (IsA(node, OpExpr) && ((OpExpr *) node)->opfuncid == F_NUMERIC_DIV)
	{
		/* an integer divided by 100.0 has two */
		char *divisor = constant_text(lsecond(((OpExpr *) node)->args));
		Size digits = divisor != NULL && divisor[0] == '1' ? strspn(divisor + 1, "0") : 0;

		if (digits > 0 && divisor[1 + digits + strspn(divisor + 1 + digits, ".0")] == '\0' && scale_of(linitial(((OpExpr *) node)->args)) == 0)
			return (int) digits;
		return -1;
	}
	return typmod >= (int32) VARHDRSZ ? (typmod - VARHDRSZ) & 0x7ff : -1;
}

/* Does a cast to another length leave every value as it is? */
static bool
keeps_length(FuncExpr *call)
{
	Node *inner = linitial(call->args);
	int32 typmod = exprTypmod((Node *) call);
	int scale;

	if (typmod < (int32) VARHDRSZ)
		return true;
	if (call->funcid != F_NUMERIC_NUMERIC_INT4)
		return exprTypmod(inner) >= (int32) VARHDRSZ && exprTypmod(inner) <= typmod;
	scale = scale_of(inner);
	return scale >= 0 && scale <= ((typmod - VARHDRSZ) & 0x7ff);
}

static bool
step_decode(OutboxInversion *inversion, const char *map, FuncExpr *call, Node **node)
{
	char *choices = OutboxExecute("SELECT string_agg(format(' WHEN %L THEN %L', word, code), '' ORDER BY code)"
								  " FROM outbox_internal.code_map WHERE name = $1 HAVING count(*) = count(DISTINCT word)",
								  1, &map);

	if (choices == NULL)
		return false;
	inversion->value = psprintf("CASE %s%s END", inversion->value, choices);
	*node = lsecond(call->args);
	return true;
}

static bool
step_function(OutboxInversion *inversion, FuncExpr *call, Node **node)
{
	char *map = OutboxDecodeMap((Node *) call);
	char *zone;

	if (map != NULL)
		return step_decode(inversion, map, call, node);
	if (call->args == NIL)
		return false;
	*node = linitial(call->args);
	for (int i = 0; i < lengthof(widening); i++)
	{
		if (call->funcid != widening[i])
			continue;
		if (call->funcid != F_TEXT_BPCHAR)
			cast_to(inversion, *node);
		return true;
	}
	switch (call->funcid)
	{
		case F_NUMERIC_NUMERIC_INT4:
		case F_VARCHAR_VARCHAR_INT4_BOOL:
			return keeps_length(call);
		case F_BTRIM_TEXT:
		case F_RTRIM_TEXT:
			/* char(n) is padded again when it is cast */
			return IsA(*node, FuncExpr) && ((FuncExpr *) *node)->funcid == F_TEXT_BPCHAR;
		case F_TIMEZONE_TEXT_TIMESTAMP:
		case F_TIMEZONE_TEXT_TIMESTAMPTZ:
			zone = constant_text(*node);
			*node = lsecond(call->args);
			inversion->value = psprintf("(%s AT TIME ZONE %s)", inversion->value, zone != NULL ? quote_literal_cstr(zone) : "NULL");
			return zone != NULL;
		default:
			return false;
	}
}

/* A test of a flag against one of its two values, of which `value` is the one for true. */
static bool
step_flag(OutboxInversion *inversion, const char *value, bool equal)
{
	for (int i = 0; i < lengthof(flags); i++)
	{
		bool is_first = strcmp(flags[i][0], value) == 0;

		if (!is_first && strcmp(flags[i][1], value) != 0)
			continue;
		inversion->value = psprintf("CASE %s WHEN true THEN %s WHEN false THEN %s END", inversion->value,
									quote_literal_cstr(flags[i][is_first == equal ? 0 : 1]), quote_literal_cstr(flags[i][is_first == equal ? 1 : 0]));
		inversion->assumed = psprintf("if it is only '%s' and '%s'", flags[i][0], flags[i][1]);
		return true;
	}
	return false;
}

static bool
step_operator(OutboxInversion *inversion, OpExpr *operation, Node **node)
{
	char *name = get_opname(operation->opno);
	bool swapped;
	char *value;

	if (name == NULL || operation->opfuncid >= FirstNormalObjectId || list_length(operation->args) != 2)
		return false;
	swapped = constant_text(linitial(operation->args)) != NULL;
	value = constant_text(swapped ? linitial(operation->args) : lsecond(operation->args));
	*node = swapped ? lsecond(operation->args) : linitial(operation->args);
	if (value == NULL)
		return false;
	if (operation->opresulttype == BOOLOID && (strcmp(name, "=") == 0 || strcmp(name, "<>") == 0))
		return step_flag(inversion, value, strcmp(name, "=") == 0);
	/* numbers that are exact */
	if (operation->opresulttype != NUMERICOID && operation->opresulttype != INT4OID && operation->opresulttype != INT8OID)
		return false;
	if (strspn(value, "-0.") == strlen(value) || strcmp(value, "NaN") == 0)
		return false;
	if (strcmp(name, "*") == 0)
		inversion->value = psprintf("(%s / %s)", inversion->value, value[0] == '-' ? psprintf("(%s)", value) : value);
	else if (strcmp(name, "/") == 0 && !swapped && operation->opresulttype == NUMERICOID)
		inversion->value = psprintf("(%s * %s)", inversion->value, value[0] == '-' ? psprintf("(%s)", value) : value);
	else
		return false;
	return true;
}
