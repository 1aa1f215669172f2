#ifndef DMLUA_SERVER_PROCESS_H
#define DMLUA_SERVER_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "host/error.h"
#include "host/server/place.h"

/* PostgreSQL's own programs, run as the server's user. They get an empty environment, so that no PG*, LC_* or TZ of the
   caller's disturbs them, and a session of their own, so that Ctrl-C in the terminal is dmlua's alone. */

/* Starts a program that outlives dmlua: its output goes to the file descriptor, it keeps no other. Returns its pid, or
   -1 with `error` set. */
pid_t process_start(const struct place_user *user, const char *const *argv, int output, struct error *error);

/* Runs a program to its end, killing it at the limit or when interrupted, or when dmlua itself is killed. `output`,
   owned by the caller, gets the last lines that it wrote. Returns its exit code, or -1 with `error` set when it did not
   end by itself. */
int process_run(const struct place_user *user, const char *const *argv, int limit_ms, char **output,
                struct error *error);

/* Has this child of ours ended? */
bool process_ended(pid_t pid);

/* The arguments that a process was started with, each ended by a NUL, `size` bytes in all; owned. Null when there is no
   such process, or it is dead and not yet buried. */
char *process_arguments(pid_t pid, size_t *size);

#endif
