#ifndef DMLUA_PROGRAM_H
#define DMLUA_PROGRAM_H

#include "host/error.h"

/* Programs of the user's own: an editor, a post-write hook. They get the caller's environment and terminal. */

enum program_kind {
    PROGRAM_DIALOGUE, /* talks with the person at the terminal */
    PROGRAM_HOOK      /* has no input, and writes to stderr, so that stdout is dmlua's results */
};

/* Runs a program to its end, in a folder (null: the current one). It is looked for in PATH unless its name has a slash.
   Ctrl-C is the program's alone meanwhile. Returns its exit code, as the shell counts it when a signal ended it, or -1
   with `error` set when it cannot be run. */
int program_run(const char *const *argv, const char *folder, enum program_kind kind, struct error *error);

#endif
