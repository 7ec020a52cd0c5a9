/*-------------------------------------------------------------------------
 *
 * kafka_resolve.c
 *	  Looks up the host of a registry in the session itself.
 *
 * libcurl would do it in a thread of its own, which a session must not have.
 * The resolver waits for a name server a second at most, once, instead of
 * five seconds twice: a session waits for it, and cannot be interrupted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <resolv.h>
#include <sys/socket.h>

#include "sinks/kafka/registry/kafka_session.h"

/* Host and port of an address such as "https://user@host:port/path". */
typedef struct HostPort
{
	const char *host; /* without the brackets of IPv6 */
	const char *port;
} HostPort;

static HostPort parse(const char *url, const char *default_port);
static bool is_number(const char *host);
static const char *resolve(KafkaHttp *http, const HostPort *host);
static char *entry_of(const HostPort *host, const struct addrinfo *addresses);
static bool resolve_proxies(KafkaHttp *http);

/*
 * Tells the client the addresses of the URL's host, and of proxies that the
 * environment names.  NULL, or why the host has no address.
 */
const char *
KafkaResolveHosts(KafkaHttp *http, const char *url)
{
	HostPort host = parse(url, strncmp(url, "https:", strlen("https:")) == 0 ? "443" : "80");
	const char *trouble;
	struct __res_state *state = &_res;
	int retrans;
	int retry;
	bool has_proxies;

	if (is_number(host.host) || res_init() != 0)
		return NULL;
	retrans = state->retrans;
	retry = state->retry;
	state->retrans = 1;
	state->retry = 1;
	has_proxies = resolve_proxies(http);
	trouble = resolve(http, &host);
	state->retrans = retrans;
	state->retry = retry;
	/* a proxy may know more names */
	return has_proxies ? NULL : trouble;
}

static HostPort
parse(const char *url, const char *default_port)
{
	const char *start = strstr(url, "://");
	const char *authority = start != NULL ? start + strlen("://") : url;
	char *copy = pnstrdup(authority, strcspn(authority, "/?#"));
	char *host = strrchr(copy, '@') != NULL ? strrchr(copy, '@') + 1 : copy;
	char *end;
	HostPort result = {.host = host, .port = default_port};

	if (host[0] == '[')
	{
		result.host = host + 1;
		end = host + strcspn(host, "]");
		if (*end != '\0')
			*end++ = '\0';
	}
	else
		end = host + strcspn(host, ":");
	if (*end == ':')
	{
		*end = '\0';
		result.port = end + 1;
	}
	return result;
}

/* An address as it is: nobody looks it up. */
static bool
is_number(const char *host)
{
	struct in6_addr address;

	return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

/* NULL, or why there is no address. */
static const char *
resolve(KafkaHttp *http, const HostPort *host)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
	struct addrinfo *addresses = NULL;
	int result = getaddrinfo(host->host, NULL, &hints, &addresses);
	char *entry;

	if (result != 0)
		return psprintf("could not look up host \"%s\": %s", host->host, gai_strerror(result));
	entry = entry_of(host, addresses);
	freeaddrinfo(addresses);
	KafkaHttpKnowHost(http, entry);
	return NULL;
}

/* "host:port:address,[address]" */
static char *
entry_of(const HostPort *host, const struct addrinfo *addresses)
{
	StringInfoData entry;
	char text[NI_MAXHOST];
	const char *separator = "";

	initStringInfo(&entry);
	appendStringInfo(&entry, "%s:%s:", host->host, host->port);
	for (const struct addrinfo *a = addresses; a != NULL; a = a->ai_next)
	{
		if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) != 0)
			continue;
		appendStringInfo(&entry, a->ai_family == AF_INET6 ? "%s[%s]" : "%s%s", separator, text);
		separator = ",";
	}
	return entry.data;
}

/* Of the server's environment, as libcurl reads it. */
static bool
resolve_proxies(KafkaHttp *http)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
	bool found = false;

	for (int i = 0; i < lengthof(names); i++)
	{
		const char *value = getenv(names[i]);
		HostPort proxy;

		if (value == NULL || value[0] == '\0')
			continue;
		found = true;
		proxy = parse(value, "1080");
		if (!is_number(proxy.host))
			(void) resolve(http, &proxy);
	}
	return found;
}
