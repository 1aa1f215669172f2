#ifndef DMLUA_PARTS_H
#define DMLUA_PARTS_H

#include <sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "host/ledger.h"

/* A part of a step that has been committed, or of a statement that was started alone: a row of dmlua_progress. */
struct part {
    char *what;       /* revision */
    char *direction;  /* "upgrade" or "downgrade" */
    int number;
    bool done;        /* else: started, and nobody has looked what came of it, or */
    bool failed;      /* the server has refused it */
    char *hash;       /* of its statements */
    char *statements; /* a line each: hash, text cut to one line */
    char *answers;    /* of its reads, host/answers.h */
    char *cursor;     /* how far its batches have come */
    bool loop;        /* a resumable loop: */
    int tenants;      /* whose work is done, or begun, */
    int skipped;      /* left out, */
    int listed;       /* in the list that the last run saw; 0: unknown, */
    int failures;     /* that failed in it */
};

/* What stands for a resumable loop among a part's statements. */
#define PART_LOOP "tenants.each, resumable"

struct part_list {
    struct part *parts; /* ordered by what, direction, number */
    size_t count;
};

/* From rows of what, direction, part, state, hash, statements, answers, cursor, and of a loop's tenants how many are
   done or begun and how many skipped, up to the first row whose state is `owed`: says whether there is none. Owned:
   parts_free. */
bool parts_read(const PGresult *result, struct part_list *list);
void parts_free(struct part_list *list);
/* The part, or null. Borrowed. */
const struct part *parts_find(const struct part_list *list, const char *what, const char *direction, int number);
/* What a part's script did, as it is kept for a rerun. */
struct recorder {
    SHA2_CTX hash;
    FILE *statements_stream, *answers_stream;
    char *statements, *answers;
    size_t statements_size, answers_size;
    size_t count;      /* statements */
    bool too_much;     /* its reads are more than can be kept */
    const char *kept;  /* replay: the answers that are left */
};

void recorder_open(struct recorder *recorder);
void recorder_close(struct recorder *recorder);
void recorder_statement(struct recorder *recorder, const struct db_statement *statement);
void recorder_answer(struct recorder *recorder, const PGresult *result);
/* The hash over all statements so far, 64 hex digits; the streams' texts are brought up to date. */
void recorder_finish(struct recorder *recorder, char hash[65]);
/* Is the part kept, by this text of its statements, a resumable loop? */
bool parts_is_loop(const char *statements);
/* The cursor of a loop's part: the tenants that are listed, and those that failed. */
void parts_loop_cursor(char cursor[32], int listed, int failures);
/* The first line in which the texts of statements differ, of each. Owned. */
void parts_difference(const char *before, const char *now, char **old_line, char **new_line);

#endif
