/*-------------------------------------------------------------------------
 *
 * level.c
 *	  The compatibility levels of schema registries.
 *
 * Plain C, see schema_model.h.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "avro/compatible/compatible.h"

const char *const avro_level_names[AVRO_LEVELS] = {
	[AVRO_LEVEL_NONE] = "NONE",
	[AVRO_LEVEL_BACKWARD] = "BACKWARD",
	[AVRO_LEVEL_BACKWARD_TRANSITIVE] = "BACKWARD_TRANSITIVE",
	[AVRO_LEVEL_FORWARD] = "FORWARD",
	[AVRO_LEVEL_FORWARD_TRANSITIVE] = "FORWARD_TRANSITIVE",
	[AVRO_LEVEL_FULL] = "FULL",
	[AVRO_LEVEL_FULL_TRANSITIVE] = "FULL_TRANSITIVE"};

static const struct
{
	bool backward;
	bool forward;
	bool transitive;
} levels[AVRO_LEVELS] = {
	[AVRO_LEVEL_NONE] = {false, false, false},
	[AVRO_LEVEL_BACKWARD] = {true, false, false},
	[AVRO_LEVEL_BACKWARD_TRANSITIVE] = {true, false, true},
	[AVRO_LEVEL_FORWARD] = {false, true, false},
	[AVRO_LEVEL_FORWARD_TRANSITIVE] = {false, true, true},
	[AVRO_LEVEL_FULL] = {true, true, false},
	[AVRO_LEVEL_FULL_TRANSITIVE] = {true, true, true}};

bool
AvroLevelByName(const char *name, AvroLevel *level)
{
	int i;

	for (i = 0; i < AVRO_LEVELS; i++)
	{
		if (strcmp(name, avro_level_names[i]) == 0)
		{
			*level = (AvroLevel) i;
			return true;
		}
	}
	return false;
}

bool
AvroLevelIsTransitive(AvroLevel level)
{
	return levels[level].transitive;
}

bool
AvroCompatibleAtLevel(AvroArena *arena, AvroLevel level, const AvroNode *schema,
					  const AvroNode *const *older, int count, const AvroDifferenceSink *sink,
					  void (*begin)(void *context, const AvroLevelCheck *check),
					  bool *compatible, AvroFault *fault)
{
	int last = levels[level].transitive || count == 0 ? count : 1;
	int i;
	int forward;

	*compatible = true;
	for (i = 0; i < last; i++)
	{
		for (forward = 0; forward < 2; forward++)
		{
			AvroLevelCheck check = {.against = i, .forward = forward == 1};
			bool fits;

			if (!(check.forward ? levels[level].forward : levels[level].backward))
				continue;
			if (begin != NULL)
				begin(sink->context, &check);
			if (!AvroCompatible(arena, check.forward ? older[i] : schema, check.forward ? schema : older[i], sink, &fits, fault))
				return false;
			*compatible &= fits;
		}
	}
	return true;
}
