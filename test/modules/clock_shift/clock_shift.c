/*-------------------------------------------------------------------------
 *
 * clock_shift.c
 *	  A clock that a test turns back, for LD_PRELOAD of a server.
 *
 * The file named by CLOCK_SHIFT holds the seconds, as decimal digits, by which
 * gettimeofday() is behind.
 *
 *-------------------------------------------------------------------------
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long
seconds_behind(void)
{
	const char *name = getenv("CLOCK_SHIFT");
	char text[24] = {0};
	int file = name != NULL ? open(name, O_RDONLY | O_CLOEXEC) : -1;

	if (file < 0)
		return 0;
	if (read(file, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(file);
	return strtol(text, NULL, 10);
}

/* PGXS hides symbols since PostgreSQL 16 */
__attribute__((visibility("default"))) int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec clock;

	(void) zone;
	if (clock_gettime(CLOCK_REALTIME, &clock) != 0)
		return -1;
	now->tv_sec = clock.tv_sec - seconds_behind();
	now->tv_usec = clock.tv_nsec / 1000;
	return 0;
}
