#ifndef DMLUA_UNDO_H
#define DMLUA_UNDO_H

#include "host/step.h"

/* What a fix writes, kept for its undo (doc/fixes.md). Both run in one snapshot (REPEATABLE READ): what the tenant's
   rows are before and after is read and compared, so that all that differs is this transaction's own work, whoever did
   it there: statement, trigger, cascade. No lock, no trigger, nothing of another session. The statements are made by
   lua/dmlua/undo_sql.lua. */
struct undo_log {
    const char *make;          /* makes dmlua_undo; sent where it is not there as it must be */
    const char *const *before; /* put the rows' images into the stage, as the tenant's role */
    const char *const *after;
};

/* Makes the table of pre-images, in a transaction of its own, unless it is there and isolated. */
int undo_make_table(struct run *run, const struct undo_log *log, struct error *error);
/* Sends what keeps the rows' images before a fix runs. In a tenant's transaction, outside its context. */
int undo_keep_before(struct step *step, const struct undo_log *log, const char *id, struct error *error);
/* Sends what keeps them after it, and puts what differs into dmlua_undo, unless `dry_run`. */
int undo_keep_after(struct step *step, const struct undo_log *log, const char *id, bool dry_run, struct error *error);

/* Sends what puts a tenant's pre-images of the run into the stage, where the tenant's role can read them; raises unless
   they are all there. `loaded` gets the answer, whose tag counts them. */
void undo_load(struct step *step, const char *run, const char *id, PGresult **loaded);
/* Sends what says that the tenant is undone, and drops its pre-images. */
void undo_settle(struct step *step, const char *run, const char *id);

/* Drops the pre-images of the run `id` that are left, in a transaction with its row in the ledger. `rows`: their
   number. */
int undo_forget(struct run *run, const struct script *fix, const char *id, long long *rows, struct error *error);

#endif
