/*-------------------------------------------------------------------------
 *
 * http_hosts.c
 *	  Which hosts sinks may send HTTP requests to.
 *
 * A sink's options name URLs (a schema registry, where tokens are issued), and
 * the server requests them from within its network. Who may create a sink must
 * not be able to reach what only the server can reach, where a superuser has
 * said so in outbox.http_hosts.
 *
 * The check is on text, before anything is resolved. It is stricter than any
 * URL parser: what it does not understand is not allowed. What a name resolves
 * to is up to the server's resolver.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/varlena.h"

#include "compat.h"
#include "guc.h"
#include "sink/sink_private.h"

#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
#define ADDRESS_CHARACTERS "0123456789abcdefABCDEF:."

typedef struct HostPort
{
	const char *host; /* an address in brackets, too */
	int len;
	int port; /* 0: none is given */
} HostPort;

static bool names_url(const char *option);
static const char *find_url(const char *value, int *default_port);
static bool parse_host(const char *text, HostPort *result, const char **end);
static bool is_listed(const HostPort *host, int port);
static char *authority_of(const char *text);
OUTBOX_NORETURN static void refuse(const char *option, const char *host);

/* Is this a list of host, host:port, [address] and [address]:port? *bad is the first element that is none. */
bool
OutboxHttpHostsValid(const char *list, const char **bad)
{
	List *elements = NIL;
	ListCell *lc;

	*bad = list;
	if (!SplitGUCList(pstrdup(list), ',', &elements))
		return false;
	foreach (lc, elements)
	{
		HostPort host;
		const char *end;

		*bad = lfirst(lc);
		if (!parse_host(*bad, &host, &end) || *end != '\0')
			return false;
	}
	return true;
}

/* Raises when an option's value has a URL whose host outbox.http_hosts does not have. Needs no transaction. */
void
OutboxCheckHttpHosts(const char *option, const char *value)
{
	const char *rest = value;
	int port = 0;
	const char *url;

	if (outbox_http_hosts == NULL || outbox_http_hosts[0] == '\0')
		return;
	url = find_url(value, &port);
	if (url == NULL && names_url(option) && value[0] != '\0')
	{
		/* libraries guess the scheme */
		const char *scheme = strstr(value, "://");

		url = scheme ? scheme + strlen("://") : value;
	}
	for (; url != NULL; url = find_url(rest, &port))
	{
		char *authority = authority_of(url);
		char *user_end = strrchr(authority, '@');
		const char *host_text = user_end ? user_end + 1 : authority;
		HostPort host;
		const char *end;

		/* libraries differ in what they make of these */
		if (strpbrk(authority, "\\ \t\r\n") != NULL)
			refuse(option, host_text);
		if (!parse_host(host_text, &host, &end) || *end != '\0' || !is_listed(&host, host.port ? host.port : port))
			refuse(option, host_text);
		pfree(authority);
		rest = url;
	}
}

/* Whose last word is url or urls. */
static bool
names_url(const char *option)
{
	const char *word = option + strlen(option);

	while (word > option && isalnum((unsigned char) word[-1]))
		word--;
	return pg_strcasecmp(word, "url") == 0 || pg_strcasecmp(word, "urls") == 0 || pg_strcasecmp(word, "uri") == 0;
}

/* What follows the first "http://" or "https://". */
static const char *
find_url(const char *value, int *default_port)
{
	for (const char *c = value; *c != '\0'; c++)
	{
		if (pg_strncasecmp(c, "http://", 7) == 0)
		{
			*default_port = 80;
			return c + 7;
		}
		if (pg_strncasecmp(c, "https://", 8) == 0)
		{
			*default_port = 443;
			return c + 8;
		}
	}
	return NULL;
}

/* host or [address], and :port if there is one; *end is what follows. */
static bool
parse_host(const char *text, HostPort *result, const char **end)
{
	const char *c = text;
	Size len;

	if (*c == '[')
	{
		len = strspn(c + 1, ADDRESS_CHARACTERS);
		if (len == 0 || c[1 + len] != ']')
			return false;
		len += 2;
	}
	else
		len = strspn(c, HOST_CHARACTERS);
	if (len == 0 || len > 255)
		return false;
	*result = (HostPort){.host = text, .len = (int) len};
	c += len;
	if (*c == ':')
	{
		for (c++; isdigit((unsigned char) *c) && result->port <= 65535; c++)
			result->port = result->port * 10 + (*c - '0');
		if (result->port < 1 || result->port > 65535)
			return false;
	}
	*end = c;
	return true;
}

static bool
is_listed(const HostPort *host, int port)
{
	List *elements = NIL;
	ListCell *lc;

	/* its syntax was checked when it was set */
	(void) SplitGUCList(pstrdup(outbox_http_hosts), ',', &elements);
	foreach (lc, elements)
	{
		HostPort allowed;
		const char *end;

		if (parse_host(lfirst(lc), &allowed, &end) && *end == '\0' && allowed.len == host->len &&
			pg_strncasecmp(allowed.host, host->host, host->len) == 0 && (allowed.port == 0 || allowed.port == port))
			return true;
	}
	return false;
}

/* Up to where the path, the query or the fragment begins. */
static char *
authority_of(const char *text)
{
	return pnstrdup(text, strcspn(text, "/?#"));
}

/* Shows the host alone: what is before it may be a password. */
static void
refuse(const char *option, const char *host)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("host \"%s\" of sink option \"%s\" is not allowed", host, option),
			 errdetail("The setting outbox.http_hosts is \"%s\".", outbox_http_hosts),
			 errhint("A superuser can add the host to outbox.http_hosts.")));
}
