/*-------------------------------------------------------------------------
 *
 * required_fields.c
 *	  Which fields are never null: paths such as "items.sku" lead into nested records.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "avro/types/type_shape.h"

/*
 * Is the field among the required paths? *inner gets the paths that lead into the
 * field.
 */
bool
OutboxSplitRequired(const List *required, const char *field, List **inner)
{
	Size length = strlen(field);
	bool found = false;
	ListCell *lc;

	*inner = NIL;
	foreach (lc, required)
	{
		char *path = lfirst(lc);

		if (strncmp(path, field, length) != 0)
			continue;
		if (path[length] == '\0')
			found = true;
		else if (path[length] == '.')
			*inner = lappend(*inner, path + length + 1);
	}
	return found;
}

/* Raises for a required path of the relation that does not begin with a field of the shape (NULL: there is none). */
void
OutboxCheckRequiredFields(const char *relation, const char *path, const OutboxShape *shape, const List *required)
{
	ListCell *lc;

	foreach (lc, required)
	{
		const char *name = lfirst(lc);
		Size length = strcspn(name, ".");
		bool found = false;

		for (int i = 0; shape != NULL && i < shape->nfields; i++)
			found |= strlen(shape->fields[i].name) == length && strncmp(shape->fields[i].name, name, length) == 0;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("required field \"%s.%s\" of view \"%s\" does not exist", path, name, relation),
					 errdetail(shape != NULL ? "The rows of column \"%s\" have no such field." : "Column \"%s\" does not consist of rows.", path),
					 errhint("Name the fields of nested rows as they are in their view or type.")));
	}
}
