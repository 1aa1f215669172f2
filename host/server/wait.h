#ifndef DMLUA_SERVER_WAIT_H
#define DMLUA_SERVER_WAIT_H

#include <stdbool.h>

/* Every wait has a limit, and Ctrl-C ends it. */

struct wait {
    double deadline; /* of clock_now */
};

enum wait_result { WAIT_MORE, WAIT_OVER, WAIT_INTERRUPTED };

void wait_begin(struct wait *wait, int limit_ms);
/* How it stands, without sleeping. */
enum wait_result wait_state(const struct wait *wait);
/* Sleeps for some milliseconds, less when a signal comes, and says whether to go on. */
enum wait_result wait_pause(const struct wait *wait);
/* Waits for `fd` to be readable (or writable), or for some milliseconds. */
enum wait_result wait_descriptor(const struct wait *wait, int fd, bool writable);

#endif
