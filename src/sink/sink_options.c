/*-------------------------------------------------------------------------
 *
 * sink_options.c
 *	  A sink's jsonb options as strings.
 *
 * Sinks are configured with strings, as every broker's client library is.
 * A secret need not stand in the table: {"file": "/path"} is read when the
 * options are checked and each time the relay starts the sink, so that a
 * rotated password needs no SQL.  Error messages never show a value.
 *
 * Two rules hold for the options of every library. Files of the server are
 * for those who may read them: named as {"file": ...}, or by an option whose
 * name says that its value is a path. And requests go to hosts that are allowed
 * only (http_hosts.c), which the relay asks once more before it connects.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <sys/stat.h>

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "compat.h"
#include "sink/sink_private.h"

/* Certificates and keys are some kilobytes; a mistyped path may be anything. */
#define OPTION_FILE_MAX_BYTES (1024 * 1024)

static OutboxSinkOption *read_options(Jsonb *options, bool with_files, bool check_privileges, int *n);
static const char *option_value(const char *name, const JsonbValue *value, bool check_privileges);
static const char *file_path(const char *name, JsonbContainer *object);
static void require_file_privilege(const char *name);
static bool names_file(const char *name);
static const char *read_option_file(const char *name, const char *path, bool check_privileges);
static const char *file_content(const char *name, const char *path);
OUTBOX_NORETURN static void refuse_value(const char *name, const char *what);

/*
 * The options of a sink as an array of *n strings, in the order of the jsonb
 * (allocated in the current memory context; at least one element, so never
 * NULL).  {"file": "/path"} is replaced by the file's content.  With
 * check_privileges the current user must be allowed to read server files, also
 * where an option's name says that its value is a path, so call it before
 * switching to the extension's owner.  Raises for anything but an object of
 * strings, numbers, booleans and files, and for URLs of hosts that
 * outbox.http_hosts does not have.  A transaction is needed
 * only with check_privileges.
 */
OutboxSinkOption *
OutboxSinkOptions(Jsonb *options, bool check_privileges, int *n)
{
	return read_options(options, true, check_privileges, n);
}

/*
 * All options without opening files: where a value is not a string, number or boolean it is NULL. They need not be valid.
 */
OutboxSinkOption *
OutboxSinkOptionsUnread(Jsonb *options, int *n)
{
	return read_options(options, false, false, n);
}

static OutboxSinkOption *
read_options(Jsonb *options, bool with_files, bool check_privileges, int *n)
{
	OutboxSinkOption *result;
	JsonbIterator *it;
	JsonbValue v;
	JsonbIteratorToken token;

	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sink options must be a JSON object"),
				 errhint("Write options => '{\"name\": \"value\"}'.")));

	*n = 0;
	result = palloc0(sizeof(OutboxSinkOption) * (JB_ROOT_COUNT(options) + 1));
	it = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			result[*n].name = pnstrdup(v.val.string.val, v.val.string.len);
		else if (token == WJB_VALUE)
		{
			if (with_files || v.type == jbvString || v.type == jbvNumeric || v.type == jbvBool)
				result[*n].value = option_value(result[*n].name, &v, check_privileges);
			if (with_files)
				OutboxCheckHttpHosts(result[*n].name, result[*n].value);
			(*n)++;
		}
	}
	return result;
}

/* What OutboxSinkOptions refuses of files and hosts, without reading any file. The options need not be valid. */
void
OutboxCheckSinkOptions(Jsonb *options)
{
	JsonbIterator *it = JsonbIteratorInit(&options->root);
	JsonbValue v;
	JsonbIteratorToken token;
	const char *name = "";

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(v.val.string.val, v.val.string.len);
		else if (token == WJB_VALUE)
		{
			if (v.type == jbvBinary || names_file(name))
				require_file_privilege(name);
			if (v.type == jbvString)
				OutboxCheckHttpHosts(name, pnstrdup(v.val.string.val, v.val.string.len));
		}
	}
}

static const char *
option_value(const char *name, const JsonbValue *value, bool check_privileges)
{
	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a sink option has an empty name"),
				 errhint("Write options => '{\"name\": \"value\"}'.")));

	if (check_privileges && names_file(name))
		require_file_privilege(name);
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return value->val.boolean ? "true" : "false";
		case jbvBinary:
			if (JsonContainerIsArray(value->val.binary.data))
				refuse_value(name, "an array");
			return read_option_file(name, file_path(name, value->val.binary.data), check_privileges);
		default:
			refuse_value(name, "null");
	}
}

/* The path of {"file": "/path"}; any other object is refused. */
static const char *
file_path(const char *name, JsonbContainer *object)
{
	JsonbValue path;

	if (JsonContainerSize(object) != 1 ||
		getKeyJsonValueFromContainer(object, "file", strlen("file"), &path) == NULL ||
		path.type != jbvString)
		refuse_value(name, "an object other than {\"file\": \"/path\"}");
	return pnstrdup(path.val.string.val, path.val.string.len);
}

static void
require_file_privilege(const char *name)
{
	if (has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to read sink option \"%s\" from a file", name),
			 errdetail("Only members of role pg_read_server_files may name files of the server."),
			 errhint("Have such a member create the sink, or give the value itself where the library takes it.")));
}

/* Its last word says so, as in ssl.ca.location and sasl.kerberos.keytab; the sink opens it with the server's rights. */
static bool
names_file(const char *name)
{
	static const char *const words[] = {"location", "locations", "file", "files", "filename", "path", "paths",
										"keytab", "dir", "directory", "stores"};
	const char *word = name + strlen(name);

	while (word > name && isalnum((unsigned char) word[-1]))
		word--;
	for (int i = 0; i < lengthof(words); i++)
	{
		if (pg_strcasecmp(word, words[i]) == 0)
			return true;
	}
	return false;
}

static const char *
read_option_file(const char *name, const char *path, bool check_privileges)
{
	struct stat st;

	if (check_privileges)
		require_file_privilege(name);
	if (!is_absolute_path(path))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("file \"%s\" of sink option \"%s\" has a relative path", path, name),
				 errhint("Give the absolute path of a file on the server.")));

	/* Opening a pipe would wait for its writer. */
	if (stat(path, &st) == 0 && (!S_ISREG(st.st_mode) || st.st_size > OPTION_FILE_MAX_BYTES))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("file \"%s\" of sink option \"%s\" is not an ordinary file of at most %d bytes",
						path, name, OPTION_FILE_MAX_BYTES),
				 errhint("Name the file that holds the value.")));
	return file_content(name, path);
}

static const char *
file_content(const char *name, const char *path)
{
	FILE *file = AllocateFile(path, PG_BINARY_R);
	char *content;
	Size len;

	if (file == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\" of sink option \"%s\": %m", path, name),
				 errhint("The file must exist and be readable by the server's operating system user.")));

	content = palloc(OPTION_FILE_MAX_BYTES + 1);
	len = fread(content, 1, OPTION_FILE_MAX_BYTES, file);
	if (ferror(file))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\" of sink option \"%s\": %m", path, name)));
	FreeFile(file);
	if (memchr(content, '\0', len) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("file \"%s\" of sink option \"%s\" contains a zero byte", path, name),
				 errhint("Name a text file that holds the value.")));

	/* The newline that editors and echo add is not part of a secret. */
	if (len > 0 && content[len - 1] == '\n')
		len--;
	if (len > 0 && content[len - 1] == '\r')
		len--;
	content[len] = '\0';
	return repalloc(content, len + 1);
}

static void
refuse_value(const char *name, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value of sink option \"%s\"", name),
			 errdetail("It is %s.", what),
			 errhint("Give a string, a number, a boolean, or {\"file\": \"/path\"}.")));
}
