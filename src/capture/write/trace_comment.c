/*-------------------------------------------------------------------------
 *
 * trace_comment.c
 *	  The trace context in a comment of a statement.
 *
 * sqlcommenter and the libraries that follow it put it there. A comment counts
 * only where it begins or ends the statement, and only within 2 kB of that end:
 * a statement may be of any size.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "capture/write/write_private.h"

/* How far from its ends a statement is searched for a comment. */
#define COMMENT_MAX_BYTES 2048

/* What stands in a comment, from its begin to its end; begin == NULL: there is none. */
typedef struct Comment
{
	const char *begin;
	const char *end;
} Comment;

static Comment
leading_comment(const char *statement)
{
	const char *begin = statement + strspn(statement, " \t\r\n");
	const char *limit;

	if (strncmp(begin, "/*", 2) != 0)
		return (Comment){NULL};
	limit = begin + strnlen(begin, COMMENT_MAX_BYTES);
	for (const char *c = begin + 2; c + 1 < limit; c++)
	{
		if (c[0] == '*' && c[1] == '/')
			return (Comment){begin + 2, c};
	}
	return (Comment){NULL};
}

/* A comment at the end. It begins at the last mark before its end, so a mark in a literal is not taken for it. */
static Comment
trailing_comment(const char *statement)
{
	const char *end = statement + strlen(statement);
	const char *limit = end - Min(end - statement, COMMENT_MAX_BYTES);

	while (end > limit && strchr(" \t\r\n;", end[-1]) != NULL)
		end--;
	if (end - limit < 4 || strncmp(end - 2, "*/", 2) != 0)
		return (Comment){NULL};
	for (const char *c = end - 4; c >= limit; c--)
	{
		if (c[0] == '/' && c[1] == '*')
			return (Comment){c + 2, end - 2};
	}
	return (Comment){NULL};
}

/* The value of traceparent='...' in a comment, as sqlcommenter writes it, into out; false when there is none. */
static bool
find_in_comment(Comment comment, char *out, Size size)
{
	static const char name[] = "traceparent='";
	const Size len = sizeof(name) - 1;
	const char *value;
	const char *quote;

	if (comment.begin == NULL)
		return false;
	for (const char *c = comment.begin; c + len <= comment.end; c++)
	{
		if (memcmp(c, name, len) != 0 || (c > comment.begin && strchr(" \t\r\n,", c[-1]) == NULL))
			continue;
		value = c + len;
		quote = memchr(value, '\'', comment.end - value);
		if (quote == NULL || (Size) (quote - value) >= size)
			return false;
		memcpy(out, value, quote - value);
		out[quote - value] = '\0';
		return true;
	}
	return false;
}

/* Into out, a string; false when there is none. The libraries write it at the end; some write it at the begin. */
bool
OutboxTraceInComment(const char *statement, char *out, Size size)
{
	return find_in_comment(trailing_comment(statement), out, size) ||
		find_in_comment(leading_comment(statement), out, size);
}
