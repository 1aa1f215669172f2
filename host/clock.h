#ifndef DMLUA_CLOCK_H
#define DMLUA_CLOCK_H

/* Seconds from some moment on, for measuring how long things take: nobody can set this clock. */
double clock_now(void);

#endif
