/*-------------------------------------------------------------------------
 *
 * report.c
 *	  Where a comparison is in the reader's schema, how many steps it has left, and
 *	  the differences that it hands over.
 *
 * Plain C, see schema_model.h.
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>

#include "avro/compatible/comparison.h"

const char *const avro_rule_names[AVRO_RULES] = {
	[AVRO_RULE_NAME] = "NAME",
	[AVRO_RULE_FIELD_NO_DEFAULT] = "FIELD_NO_DEFAULT",
	[AVRO_RULE_TYPE] = "TYPE",
	[AVRO_RULE_UNION_BRANCH] = "UNION_BRANCH",
	[AVRO_RULE_ENUM_SYMBOL] = "ENUM_SYMBOL",
	[AVRO_RULE_FIXED_SIZE] = "FIXED_SIZE",
	[AVRO_RULE_DECIMAL_SCALE] = "DECIMAL_SCALE",
	[AVRO_RULE_DECIMAL_PRECISION] = "DECIMAL_PRECISION",
	[AVRO_RULE_LOGICAL] = "LOGICAL",
	[AVRO_RULE_ALIAS_AMBIGUOUS] = "ALIAS_AMBIGUOUS",
	[AVRO_RULE_LOSSY] = "LOSSY"};

const char *const avro_severity_names[AVRO_SEVERITY_ERROR + 1] = {"warning", "error"};

/* False when the comparison has to end. */
bool
AvroCountSteps(AvroComparison *comparison, int64_t steps)
{
	if (comparison->failed)
		return false;
	comparison->steps += steps;
	if (comparison->steps >= comparison->next_stride)
	{
		comparison->next_stride = comparison->steps + AVRO_COMPARISON_STRIDE;
		if (comparison->sink->step != NULL)
			comparison->sink->step(comparison->sink->context);
	}
	if (comparison->steps > AVRO_MAX_COMPARISON_STEPS)
	{
		AvroFail(comparison->fault, "the schemas are too large to be compared");
		comparison->failed = true;
	}
	return !comparison->failed;
}

/* False when types are nested too deeply; then there is nothing to leave. */
bool
AvroEnterPlace(AvroComparison *comparison, AvroPlaceKind kind, const char *name, int index)
{
	AvroPlace place = {.kind = kind, .name = name, .index = index};

	if (comparison->depth >= AVRO_MAX_COMPARISON_DEPTH)
	{
		AvroFail(comparison->fault, "types that refer to each other are nested deeper than %d", AVRO_MAX_COMPARISON_DEPTH);
		comparison->failed = true;
		return false;
	}
	comparison->places[comparison->depth++] = place;
	return true;
}

void
AvroLeavePlace(AvroComparison *comparison)
{
	comparison->depth--;
}

/* "items[].unit_price" */
static void
write_path(const AvroComparison *comparison, AvroText *text)
{
	int i;

	text->length = 0;
	AvroTextAdd(text, "", 0);
	for (i = 0; i < comparison->depth; i++)
	{
		const AvroPlace *place = &comparison->places[i];

		switch (place->kind)
		{
			case AVRO_PLACE_FIELD:
				if (text->length > 0)
					AvroTextAddString(text, ".");
				AvroTextAddString(text, place->name);
				break;
			case AVRO_PLACE_ITEMS:
				AvroTextAddString(text, "[]");
				break;
			case AVRO_PLACE_VALUES:
				AvroTextAddString(text, "{}");
				break;
			case AVRO_PLACE_BRANCH:
				if (place->name == NULL)
					break;
				AvroTextAddString(text, "<");
				AvroTextAddString(text, place->name);
				AvroTextAddString(text, ">");
				break;
		}
	}
}

/* "/fields/3/type/1/items/fields/0/type", up to the attribute that the rule is about */
static void
write_pointer(const AvroComparison *comparison, AvroText *text, AvroRule rule)
{
	static const char *const attribute[AVRO_RULES] = {
		[AVRO_RULE_NAME] = "/name",
		[AVRO_RULE_ENUM_SYMBOL] = "/symbols",
		[AVRO_RULE_FIXED_SIZE] = "/size"};
	bool of_field = rule == AVRO_RULE_FIELD_NO_DEFAULT || rule == AVRO_RULE_ALIAS_AMBIGUOUS;
	char token[32];
	int i;

	text->length = 0;
	AvroTextAdd(text, "", 0);
	for (i = 0; i < comparison->depth; i++)
	{
		const AvroPlace *place = &comparison->places[i];

		switch (place->kind)
		{
			case AVRO_PLACE_FIELD:
				snprintf(token, sizeof(token), "/fields/%d%s", place->index,
						 of_field && i == comparison->depth - 1 ? "" : "/type");
				AvroTextAddString(text, token);
				break;
			case AVRO_PLACE_ITEMS:
				AvroTextAddString(text, "/items");
				break;
			case AVRO_PLACE_VALUES:
				AvroTextAddString(text, "/values");
				break;
			case AVRO_PLACE_BRANCH:
				snprintf(token, sizeof(token), "/%d", place->index);
				AvroTextAddString(text, token);
				break;
		}
	}
	if (attribute[rule] != NULL)
		AvroTextAddString(text, attribute[rule]);
}

static void write_message(AvroFault *message, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* Formats a message and keeps it to ASCII: it may quote any text of a schema. */
static void
write_message(AvroFault *message, const char *format, va_list args)
{
	char *text;

	vsnprintf(message->text, sizeof(message->text), format, args);
	for (text = message->text; *text != '\0'; text++)
	{
		if ((unsigned char) *text < 0x20 || (unsigned char) *text >= 0x7f)
			*text = '?';
	}
}

/* Hands over a difference at the present place, unless only the outcome is wanted, and returns its weight. */
AvroOutcome
AvroReport(AvroComparison *comparison, AvroSeverity severity, AvroRule rule, const char *format, ...)
{
	AvroText *path = &comparison->path;
	AvroText *pointer = &comparison->pointer;
	AvroFault message;
	va_list args;

	if (!comparison->silent && !comparison->failed)
	{
		va_start(args, format);
		write_message(&message, format, args);
		va_end(args);
		write_path(comparison, path);
		write_pointer(comparison, pointer, rule);
		comparison->failed = path->failed || pointer->failed;
		comparison->written += path->length + pointer->length + strlen(message.text) + sizeof(AvroDifference);
		if (!comparison->failed && comparison->written > AVRO_MAX_DIFFERENCES_SIZE)
			comparison->failed = !AvroFail(comparison->fault, "the schemas differ in too many places");
		if (!comparison->failed)
		{
			AvroDifference difference = {.severity = severity, .rule = rule, .path = path->data, .pointer = pointer->data, .message = message.text};

			comparison->sink->take(comparison->sink->context, &difference);
		}
	}
	return severity == AVRO_SEVERITY_ERROR ? AVRO_OUTCOME_BREAKS : AVRO_OUTCOME_WARNS;
}
