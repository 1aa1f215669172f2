#ifndef DMLUA_SIGNAL_H
#define DMLUA_SIGNAL_H

#include <signal.h>
#include <stdbool.h>

/* Ctrl-C, SIGTERM, the end of the terminal, and the watchdog that leaves when nothing else stops a script. */

/* Set by the first signal; stays set. */
extern volatile sig_atomic_t signal_interrupted;
/* Set when a script has used up the processor time of signal_limit. */
extern volatile sig_atomic_t signal_expired;

/* Installs the handlers; once, in main. False when there is no pipe to be had. */
bool signal_install(void);

/* Becomes readable with the first signal, for poll beside a socket. Nothing needs to be read from it. */
int signal_fd(void);

/* The first signal starts a clock of three seconds, after which the watchdog cancels and leaves with 130.
   Whoever has seen signal_interrupted and goes on in an orderly way stops the clock with this. */
void signal_noticed(void);
/* Starts it again, for a call that might not come back. */
void signal_awaited(void);

/* What the watchdog calls before it leaves, to end the statement on the server: called from a signal handler,
   so only what is safe there (PQcancel is). Null: nothing. */
void signal_watch(void (*cancel)(void *), void *data);

/* From now on the program may use so many seconds of processor time (waiting is free) before signal_expired
   is set; a few seconds later the watchdog leaves with 1. 0: no limit any more. */
void signal_limit(int seconds);

/* For a child before it becomes another program: signals as a program expects to find them. */
void signal_default(void);

#endif
