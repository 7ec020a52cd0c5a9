/*-------------------------------------------------------------------------
 *
 * kafka_wait.c
 *	  The two descriptors through which the HTTP client is waited for: an
 *	  epoll descriptor, and a timer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "sinks/kafka/registry/kafka_http.h"

/* Negative: never. */
void
KafkaSetTimer(int timer_fd, long ms)
{
	struct itimerspec when = {0};

	if (ms >= 0)
	{
		when.it_value.tv_sec = ms / 1000;
		when.it_value.tv_nsec = ms % 1000 * 1000000L + 1; /* zero would disarm it */
	}
	(void) timerfd_settime(timer_fd, 0, &when, NULL);
}

/* Of a descriptor that it may know already. */
bool
KafkaWatch(int wait_fd, int fd, uint32 events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	return epoll_ctl(wait_fd, EPOLL_CTL_MOD, fd, &event) == 0 ||
		epoll_ctl(wait_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}
