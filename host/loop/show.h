#ifndef DMLUA_LOOP_SHOW_H
#define DMLUA_LOOP_SHOW_H

#include <stdbool.h>

#include "host/report.h"

struct step;

/* What a loop over tenants shows while it runs: a bar, or lines; with --json events (doc/json.md). */
struct show {
    const struct step *step;
    struct report_watch watch;
    int tenants; /* in the list, done or not */
    int before;  /* done by earlier runs */
    int done, failed;
    int sent;       /* of done_later */
    long long rows; /* of batches, in tenants that are not done yet, too; below 0: no batches */
    double began;   /* clock_now */
    bool open;
    struct show *earlier; /* of an earlier loop of the step */
};

/* The step's loop begins, over so many tenants, of which earlier runs have done `before`. `mode` is "atomic",
   "resumable", "run" (of a fix) or "undo". What the functions below are told belongs to it, as long as it is open. */
void show_open(struct step *step, const char *mode, int tenants, int before, int workers);
/* The list was read again: so many tenants are in it now. */
void show_tenants(struct step *step, int tenants);
/* A tenant's transaction is committed. */
void show_done(struct step *step);
/* In a transaction of all tenants: one is done, or the loop is over, when all that was sent before has
   been answered. */
void show_done_later(struct step *step);
void show_close_later(struct step *step);
/* One has failed, for good. */
void show_failed(struct step *step, const char *id, const struct error *error);
/* One is tried again, for the attempt'th time. */
void show_retried(struct step *step, const char *id, int attempt, const struct error *error);
/* A batch is committed that wrote so many rows. */
void show_rows(struct step *step, long long rows);
/* The loop has come to its end. */
void show_close(struct step *step);
/* The step is over: frees what it shows, and says that the loop was stopped if it had not come to its end. */
void show_free(struct step *step);
/* "4,200 of 10,000 tenants of abc123 are done, 5,800 left" of a loop that was stopped; null where there is none. Owned:
   free. */
char *show_standing(const struct step *step);

/* bar.c. Both write at most `size` bytes. */
/* The line of a terminal. */
void show_draw(void *show, char *line, size_t size, int columns, bool colours);
/* "4,200 of 10,000 tenants, 310/s, 0:19 left, 2 failed" */
void show_text(const struct show *show, char *text, size_t size);
/* A number with its thousands set apart: "10,000". */
enum { SHOW_NUMBER = 32 };
const char *show_number(char text[SHOW_NUMBER], long long number);

#endif
