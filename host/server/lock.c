#include "host/server/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/server/wait.h"

enum { LOCK_LIMIT_MS = 240000 }; /* an initdb and a start at their own limits */

static int lock_open(const struct place *place, struct error *error)
{
    int fd = open(place->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        error_set(error, ERROR_CONNECTION, "cannot open the local server's lock file %s: %s", place->lock,
                  strerror(errno));
        error_text(&error->hint, "let dmlua write in %s, or give url = the address of a running server", place->root);
        place_explain_disk(place, error);
    }
    return fd;
}

/* Somebody may have removed the folder while we waited: then ours is the lock of a file that nobody else can find. */
static bool lock_is_named(const struct place *place, int fd)
{
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && stat(place->lock, &named) == 0 && ours.st_ino == named.st_ino
           && ours.st_dev == named.st_dev;
}

/* The holder's pid, for the message of one that waits. */
static void lock_sign(int fd)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)size, 0) < size)
        return; /* a full disk: the message will be less exact */
}

static int lock_failed(const struct place *place, int fd, enum wait_result result, struct error *error)
{
    char holder[32] = "";
    ssize_t size = pread(fd, holder, sizeof holder - 1, 0);
    holder[size > 0 ? strcspn(holder, "\n") : 0] = '\0';
    if (holder[0] == '\0')
        strcpy(holder, "unknown");
    if (result == WAIT_INTERRUPTED) {
        error_set(error, ERROR_INTERRUPTED, "interrupted while waiting for another dmlua (process %s) that starts or "
                  "stops the local server", holder);
    } else {
        error_set(error, ERROR_BUSY, "another dmlua (process %s) has been starting or stopping the local server for %d "
                  "seconds and holds %s", holder, LOCK_LIMIT_MS / 1000, place->lock);
        error_text(&error->hint, "see what process %s does, or end it, and run this again", holder);
    }
    close(fd);
    return -1;
}

int lock_take(const struct place *place, struct error *error)
{
    struct wait wait;
    enum wait_result result = WAIT_MORE;
    int fd = lock_open(place, error);
    wait_begin(&wait, LOCK_LIMIT_MS);
    while (fd >= 0) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            if (lock_is_named(place, fd)) {
                lock_sign(fd);
                return fd;
            }
            close(fd);
            fd = lock_open(place, error);
        } else if (result != WAIT_MORE) {
            return lock_failed(place, fd, result, error);
        } else {
            result = wait_pause(&wait);
        }
    }
    return -1;
}

void lock_drop(int lock)
{
    close(lock);
}
