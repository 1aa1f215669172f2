#include "host/server/wait.h"

#include <poll.h>
#include <time.h>

#include "host/clock.h"
#include "host/signal.h"

enum { PAUSE_MS = 5 };

void wait_begin(struct wait *wait, int limit_ms)
{
    wait->deadline = clock_now() + limit_ms / 1000.0;
}

enum wait_result wait_state(const struct wait *wait)
{
    if (signal_interrupted) {
        signal_noticed();
        return WAIT_INTERRUPTED;
    }
    return clock_now() < wait->deadline ? WAIT_MORE : WAIT_OVER;
}

enum wait_result wait_pause(const struct wait *wait)
{
    struct timespec pause = {0, PAUSE_MS * 1000000L};
    if (wait_state(wait) == WAIT_MORE)
        nanosleep(&pause, NULL);
    return wait_state(wait);
}

enum wait_result wait_descriptor(const struct wait *wait, int fd, bool writable)
{
    struct pollfd entry = {.fd = fd, .events = writable ? POLLOUT : POLLIN};
    if (wait_state(wait) == WAIT_MORE)
        poll(&entry, 1, 10 * PAUSE_MS);
    return wait_state(wait);
}
