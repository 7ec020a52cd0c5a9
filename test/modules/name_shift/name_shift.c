/*-------------------------------------------------------------------------
 *
 * name_shift.c
 *	  A host name whose address a test changes, for LD_PRELOAD of a server.
 *
 * The file named by NAME_SHIFT holds an address: that is what the name
 * kafka.test stands for.
 *
 *-------------------------------------------------------------------------
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*Resolver)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* PGXS hides symbols since PostgreSQL 16 */
__attribute__((visibility("default"))) int
getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
			struct addrinfo **restrict result)
{
	Resolver resolve = (Resolver) dlsym(RTLD_NEXT, "getaddrinfo");
	const char *name = getenv("NAME_SHIFT");
	char address[64] = {0};
	int file;

	if (resolve == NULL)
		return EAI_SYSTEM;
	if (node != NULL && name != NULL && strcmp(node, "kafka.test") == 0 && (file = open(name, O_RDONLY | O_CLOEXEC)) >= 0)
	{
		if (read(file, address, sizeof(address) - 1) < 0)
			address[0] = '\0';
		close(file);
		node = address;
	}
	return resolve(node, service, hints, result);
}
