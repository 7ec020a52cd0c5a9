/*-------------------------------------------------------------------------
 *
 * text_utf8.c
 *	  Texts between the server's encoding and UTF-8, without raising.
 *
 * pg_server_to_any() would raise for a character without counterpart; the
 * buffer interface of the conversion procedures reports how far it came.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "avro/schema/schema.h"
#include "avro/schema/schema_model.h"

/* Looks in the system catalogs unless the server's encoding is UTF-8. */
OutboxTextRule
OutboxTextRuleOfDatabase(void)
{
	OutboxTextRule rule = {.action = TEXT_AS_IS};
	int encoding = GetDatabaseEncoding();

	if (encoding == PG_UTF8)
		return rule;
	rule.action = TEXT_CHECK;
	if (encoding == PG_SQL_ASCII)
		return rule;
	rule.action = TEXT_CONVERT;
	rule.to_utf8 = FindDefaultConversionProc(encoding, PG_UTF8);
	rule.from_utf8 = FindDefaultConversionProc(PG_UTF8, encoding);
	if (!OidIsValid(rule.to_utf8) || !OidIsValid(rule.from_utf8))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("no conversion between %s and UTF8 is installed", pg_encoding_to_char(encoding)),
				 errdetail("Avro texts are UTF-8."),
				 errhint("Capture in a database whose encoding PostgreSQL converts to UTF8, or restore the conversions that were dropped with CREATE DEFAULT CONVERSION.")));
	return rule;
}

static bool
is_ascii(const char *text, Size length)
{
	Size i;

	for (i = 0; i < length; i++)
	{
		if (IS_HIGHBIT_SET(text[i]))
			return false;
	}
	return true;
}

static const char *
convert(Oid procedure, int from, int to, const char *text, Size *length)
{
	Size size;
	char *result;

	if (*length >= MaxAllocSize / MAX_CONVERSION_GROWTH)
		return NULL;
	size = *length * MAX_CONVERSION_GROWTH + 1;
	result = palloc(size);
	if (pg_do_encoding_conversion_buf(procedure, from, to, (unsigned char *) unconstify(char *, text), (int) *length,
									  (unsigned char *) result, (int) size, true) != (int) *length)
	{
		pfree(result);
		return NULL;
	}
	*length = strlen(result);
	return result;
}

/*
 * The text in UTF-8: the input itself when nothing has to change, else palloc'd;
 * *length is updated. NULL when a character has no counterpart or the input is
 * not valid.
 */
const char *
OutboxTextToUtf8(const OutboxTextRule *rule, const char *text, Size *length)
{
	if (rule->action == TEXT_AS_IS || is_ascii(text, *length))
		return text;
	if (rule->action == TEXT_CHECK)
		return AvroIsUtf8(text, *length) ? text : NULL;
	return convert(rule->to_utf8, GetDatabaseEncoding(), PG_UTF8, text, length);
}

/* The text in the server's encoding, on the terms of OutboxTextToUtf8. */
const char *
OutboxTextFromUtf8(const OutboxTextRule *rule, const char *text, Size *length)
{
	if (rule->action != TEXT_CONVERT || is_ascii(text, *length))
		return text;
	return convert(rule->from_utf8, PG_UTF8, GetDatabaseEncoding(), text, length);
}
